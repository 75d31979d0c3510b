//! What of an outlet HTTP cannot reach: heads and bodies that no handler here makes.

use super::*;

#[test]
fn only_the_head_of_an_answer_without_chunks_goes_before_a_file() {
    let plain = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(ends_with_plain_head(plain));
    assert!(!ends_with_plain_head(chunks), "as a middleware that compresses would have it");
    assert!(!ends_with_plain_head(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nbytes"));
    assert!(ends_with_plain_head(&[&chunks[..], b"0\r\n\r\n", plain].concat()), "an answer before it");
    assert!(!ends_with_plain_head(&[&plain[..], chunks].concat()));
    assert!(ends_with_plain_head(b"\r\n"), "the rest of a head that was written before");
}

#[test]
fn a_connection_whose_body_was_broken_off_writes_nothing_more() {
    let outlet = Outlet::default();
    assert_eq!(outlet.admit(b"anything").unwrap(), Written::Plain);
    drop(FileBody { outlet: outlet.clone(), job: None, is_armed: true });
    assert!(outlet.admit(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    assert!(!outlet.is_sending());
}

#[test]
fn a_body_has_no_bytes_of_its_own_and_ends_when_all_is_sent() {
    let outlet = Outlet::default();
    let mut body = FileBody { outlet: outlet.clone(), job: None, is_armed: true };
    let mut context = Context::from_waker(std::task::Waker::noop());
    *outlet.0.borrow_mut() = Slot::Done;
    assert!(matches!(Pin::new(&mut body).poll_next(&mut context), Poll::Ready(None)));
    drop(body);
    assert_eq!(outlet.admit(b"the next answer").unwrap(), Written::Plain);
    let mut broken = FileBody { outlet: outlet.clone(), job: None, is_armed: true };
    *outlet.0.borrow_mut() = Slot::Poisoned;
    assert!(matches!(Pin::new(&mut broken).poll_next(&mut context), Poll::Ready(Some(Err(_)))));
}
