//! Records of the ledger: bytes that are taken for a record give one that is written and read as itself.

use std::fmt::Debug;

use wharfinger::meta::codec::Value;
use wharfinger::meta::records::{
    AccessTokenRecord, AuditRecord, BlobRecord, DamagedRecord, GoneRecord, IncompleteRecord, KeptRecord,
    LeaseRecord, ManifestRecord, PinRecord, ReferenceRecord, ReferrerRecord, RepositoryRecord, SchemaRecord,
    ScrubRecord, SigningKeyRecord, TagChangeRecord, TagRecord, TombstoneRecord, UploadRecord, UserRecord,
};

/// The first byte chooses the kind of record.
pub fn check(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 21 {
        0 => one::<SchemaRecord>(bytes),
        1 => one::<RepositoryRecord>(bytes),
        2 => one::<BlobRecord>(bytes),
        3 => one::<ManifestRecord>(bytes),
        4 => one::<TagRecord>(bytes),
        5 => one::<ReferenceRecord>(bytes),
        6 => one::<ReferrerRecord>(bytes),
        7 => one::<LeaseRecord>(bytes),
        8 => one::<UploadRecord>(bytes),
        9 => one::<TombstoneRecord>(bytes),
        10 => one::<KeptRecord>(bytes),
        11 => one::<TagChangeRecord>(bytes),
        12 => one::<PinRecord>(bytes),
        13 => one::<DamagedRecord>(bytes),
        14 => one::<ScrubRecord>(bytes),
        15 => one::<GoneRecord>(bytes),
        16 => one::<UserRecord>(bytes),
        17 => one::<AccessTokenRecord>(bytes),
        18 => one::<SigningKeyRecord>(bytes),
        19 => one::<AuditRecord>(bytes),
        _ => one::<IncompleteRecord>(bytes),
    }
}

fn one<R: Value + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(record) = R::from_bytes(bytes) else { return };
    let written = record.to_bytes();
    assert_eq!(written.first(), bytes.first(), "the version");
    assert_eq!(R::from_bytes(&written), Ok(record));
    // A record that is cut off or goes on is none.
    assert!(R::from_bytes(&written[..written.len() - 1]).is_err());
    assert!(R::from_bytes(&[written.as_slice(), &[0]].concat()).is_err());
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    use wharfinger::meta::records::{Cause, Loss, RepositoryState, TaggedRecord, Target};
    use wharfinger::oci::{Algorithm, Digest, ManifestKind, RepositoryName, Role, SessionId};

    let (digest, session) = (Digest::of(Algorithm::Sha256, b""), SessionId::from_bytes([0xab; 16]));
    let descriptor = format!("{{\"mediaType\":\"text/x\",\"digest\":\"{digest}\",\"size\":0}}");
    let manifest = ManifestRecord {
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        kind: ManifestKind::Image,
        size: 500,
        subject: Some(digest),
        sparse: true,
        pushed_at_ms: 1 << 40,
        untagged_since_ms: Some(1 << 41),
    };
    let kept = KeptRecord {
        manifest: manifest.clone(),
        deleted_at_ms: 1 << 40,
        due_at_ms: 1 << 41,
        tags: vec!["v1".to_owned()],
        root: digest,
        who: "anonymous@127.0.0.1".to_owned(),
    };
    let loss = Loss::Manifest {
        repository: "app".to_owned(),
        manifest: digest,
        deleted_at_ms: 7,
        who: "me".to_owned(),
    };
    let gone = GoneRecord { loss, gone_at_ms: Some(1 << 40), forget_at_ms: 1 << 41 };
    let change = TagChangeRecord {
        at_ms: 1 << 40,
        before: None,
        after: Some(TaggedRecord { digest, media_type: manifest.media_type.clone(), size: 500 }),
        cause: Cause::Push,
        who: "anonymous@127.0.0.1".to_owned(),
    };
    let upload = UploadRecord {
        owner: "alice".to_owned(),
        repository: u64::MAX - 7,
        algorithm: Algorithm::Sha512,
        offset: 1 << 33,
        hash_state: vec![7; 105],
        started_at_ms: 1 << 40,
        touched_at_ms: 1 << 41,
    };
    let name = RepositoryName::parse("team/app").expect("a name");
    let records = [
        SchemaRecord { version: 3, cursor: vec![1, 2, 3] }.to_bytes(),
        RepositoryRecord { name, created_at_ms: 1 << 40, state: RepositoryState::Named }.to_bytes(),
        BlobRecord { damaged_at_ms: Some(1 << 41), ..BlobRecord::new(3000, session, 1 << 40) }.to_bytes(),
        manifest.to_bytes(),
        TagRecord { digest, pushed_at_ms: 1 << 40 }.to_bytes(),
        ReferenceRecord { role: Role::Layer, target: Target::Absent }.to_bytes(),
        ReferrerRecord { descriptor }.to_bytes(),
        LeaseRecord { ends_at_ms: 1 << 40 }.to_bytes(),
        upload.to_bytes(),
        TombstoneRecord { size: 3000, since_ms: 1 << 40 }.to_bytes(),
        kept.to_bytes(),
        change.to_bytes(),
        PinRecord { since_ms: 1 << 40, who: "local".to_owned() }.to_bytes(),
        DamagedRecord { since_ms: 1 << 40 }.to_bytes(),
        ScrubRecord { after: digest }.to_bytes(),
        gone.to_bytes(),
    ]
    .into_iter()
    .chain(accounts())
    .chain([audit(digest).to_bytes(), IncompleteRecord { since_ms: 1 << 40 }.to_bytes()]);
    (0..).zip(records).map(|(kind, record)| [vec![kind], record].concat()).collect()
}

#[cfg(test)]
fn accounts() -> [Vec<u8>; 3] {
    use wharfinger::oci::{Hidden, UserName};

    let user = UserRecord {
        hash: Hidden::new("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned()),
        created_at_ms: 1 << 40,
        changed_at_ms: 1 << 41,
        disabled_at_ms: Some(1 << 42),
    };
    let token = AccessTokenRecord {
        name: UserName::parse("builder").expect("a name"),
        hash: Hidden::new([7; 32]),
        repositories: vec!["team/**".to_owned()],
        can: vec!["pull".to_owned(), "push".to_owned()],
        created_at_ms: 1 << 40,
        expires_at_ms: Some(1 << 41),
        last_used_at_ms: None,
        who: "local".to_owned(),
    };
    [user.to_bytes(), token.to_bytes(), SigningKeyRecord { seed: Hidden::new([7; 32]) }.to_bytes()]
}

#[cfg(test)]
fn audit(digest: wharfinger::oci::Digest) -> AuditRecord {
    AuditRecord {
        action: wharfinger::meta::records::AuditAction::ManifestPush,
        who: "alice".to_owned(),
        address: Some("192.0.2.7".to_owned()),
        request_id: Some("00ff".to_owned()),
        repository: Some("team/app".to_owned()),
        digest: Some(digest),
        tags: vec!["v1".to_owned()],
        tags_count: 1,
        detail: String::new(),
    }
}
