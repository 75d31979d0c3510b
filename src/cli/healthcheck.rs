//! `wharfinger healthcheck`: what a container's HEALTHCHECK runs.

use super::config::{self, ConfigArguments};
use super::{FOUND_WRONG, reachable, wrong_use};
use crate::http::tls;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

const LISTEN_HELP: &str = "The address that the registry listens on; an unspecified one is asked on this \
                           machine [default: 127.0.0.1:5000] [env: WHARFINGER_LISTEN]";

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    #[arg(long, value_name = "ADDR", help = LISTEN_HELP)]
    listen: Option<String>,
    /// Seconds to wait for the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    timeout_secs: u64,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let config = match config::load(&arguments.config.inputs(&[("listen", "--listen", &arguments.listen)])) {
        Ok(config) => config,
        Err(words) => return wrong_use(&words),
    };
    let address = reachable(config.listen);
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    match ask(address, config.tls.is_some(), Duration::from_secs(arguments.timeout_secs)) {
        // Also a refusal is an answer: 401 wants credentials, 403 lets nobody pull without them.
        Ok(status @ 200..500) => {
            say!("{scheme}://{address}/v2/ answers {status}");
            ExitCode::SUCCESS
        }
        Ok(status) => unhealthy(&format!("{scheme}://{address}/v2/ answers {status}")),
        Err(error) => unhealthy(&format!("{scheme}://{address}/v2/ does not answer: {error}")),
    }
}

fn unhealthy(message: &str) -> ExitCode {
    eprintln!("wharfinger: {message}");
    ExitCode::from(FOUND_WRONG)
}

fn ask(address: SocketAddr, is_tls: bool, limit: Duration) -> std::io::Result<u16> {
    let stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    if is_tls { converse(tls::to_this_machine(address, stream)?, address) } else { converse(stream, address) }
}

fn converse(mut stream: impl Read + Write, address: SocketAddr) -> std::io::Result<u16> {
    write!(stream, "GET /v2/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    stream.flush()?;
    // "HTTP/1.1 200": what comes behind it does not matter.
    let mut status_line = [0; 12];
    stream.read_exact(&mut status_line)?;
    let status = std::str::from_utf8(&status_line).ok().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status = status.and_then(|status| status.parse().ok());
    status.ok_or_else(|| std::io::Error::other("the answer is not HTTP"))
}
