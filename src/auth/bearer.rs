//! Bearer tokens: signed by this registry, for this registry (RFC 7519, `EdDSA`).
//!
//! A token says who its holder is, which scopes it is for and until when. It never says what the holder may
//! do: that is decided by the policy at each request, so that no right outlives its rule. It carries a mark
//! of the holder's password or secret: once that is another, every token made by it is void.

use super::scope::Grant;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who makes tokens and whom they are for.
pub const SERVICE: &str = "wharfinger";

/// What stands before an Ed25519 seed in PKCS #8 (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// What a token can be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// For requests.
    Access,
    /// To get other tokens.
    Refresh,
}

/// What a token says. Times are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    /// What it is for.
    #[serde(rename = "use")]
    pub purpose: Use,
    /// The holder; empty: anybody.
    pub sub: String,
    /// The mark of the holder's secret when the token was made.
    pub mark: String,
    /// When it was made.
    pub iat: u64,
    /// From when on it holds.
    nbf: u64,
    /// Until when it holds.
    pub exp: u64,
    /// A number of its own.
    pub jti: String,
    /// The scopes it is for.
    pub access: Vec<Grant>,
}

impl Claims {
    /// A token's content, from `now_secs` for `life_secs`. `number` is the token's own.
    #[must_use]
    pub fn new(purpose: Use, holder: &str, mark: &str, now_secs: u64, life_secs: u64, number: u64) -> Self {
        Self {
            iss: SERVICE.to_owned(),
            aud: SERVICE.to_owned(),
            purpose,
            sub: holder.to_owned(),
            mark: mark.to_owned(),
            iat: now_secs,
            nbf: now_secs,
            exp: now_secs.saturating_add(life_secs),
            jti: format!("{number:016x}"),
            access: Vec::new(),
        }
    }

    /// Whether it holds at that time. A clock that was set back a little does not make it one of the future.
    #[must_use]
    pub fn holds_at(&self, now_secs: u64) -> bool {
        now_secs < self.exp && self.nbf <= now_secs.saturating_add(LEEWAY_SECS)
    }
}

/// Seconds that a token may be from the future.
const LEEWAY_SECS: u64 = 60;

/// A token that is none of ours, or not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not one of this registry's")]
pub struct Foreign;

/// A key that signs.
struct Key {
    id: String,
    signs: EncodingKey,
    checks: DecodingKey,
}

/// The keys of the registry; the first signs.
#[derive(Default)]
pub struct Keyring(Vec<Key>);

/// It shows which keys there are, and none of them.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

impl Keyring {
    /// Keys by number and seed, the newest first.
    #[must_use]
    pub fn new<'a>(keys: impl IntoIterator<Item = (u64, &'a [u8; 32])>) -> Self {
        let key = |(number, seed): (u64, &[u8; 32])| {
            let signs = EncodingKey::from_ed_der(&[PKCS8_PREFIX.as_slice(), seed].concat());
            let public = Jwk::from_encoding_key(&signs, Algorithm::EdDSA);
            let checks = public.and_then(|public| DecodingKey::from_jwk(&public));
            let checks = checks.expect("every 32 bytes are the seed of an Ed25519 key (RFC 8032, 5.1.5)");
            Key { id: format!("{number:016x}"), signs, checks }
        };
        Self(keys.into_iter().map(key).collect())
    }

    /// Signs with the newest key. None: there is no key.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> Option<String> {
        let key = self.0.first()?;
        let token = jsonwebtoken::encode(&header(&key.id), claims, &key.signs);
        Some(token.expect("claims are JSON, and the key is one of Ed25519"))
    }

    /// What a token says that one of these keys signed; whether it still holds is the caller's to ask.
    ///
    /// Only the named key of the registry counts: a header that brings a key along, or says anything else
    /// beyond that, is refused (CVE-2025-24976).
    pub fn read(&self, token: &str) -> Result<Claims, Foreign> {
        let said = jsonwebtoken::decode_header(token).map_err(|_| Foreign)?;
        let key = said.kid.as_deref().and_then(|id| self.0.iter().find(|key| key.id == id));
        let key = key.ok_or(Foreign)?;
        if said != header(&key.id) {
            return Err(Foreign);
        }
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_audience(&[SERVICE]);
        rules.set_issuer(&[SERVICE]);
        rules.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        // By the registry's own clock, and some requests are served a little longer.
        rules.validate_exp = false;
        let read = jsonwebtoken::decode::<Claims>(token, &key.checks, &rules).map_err(|_| Foreign)?;
        assert_eq!(read.claims.aud, SERVICE, "the rules were applied");
        Ok(read.claims)
    }
}

fn header(key: &str) -> Header {
    Header { kid: Some(key.to_owned()), ..Header::new(Algorithm::EdDSA) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    fn keyring(seeds: &[u8]) -> Keyring {
        let seeds: Vec<_> = seeds.iter().map(|&seed| (u64::from(seed), [seed; 32])).collect();
        Keyring::new(seeds.iter().map(|(id, seed)| (*id, seed)))
    }

    fn claims() -> Claims {
        Claims::new(Use::Access, "alice", "mark", 1000, 60, 7)
    }

    /// A token with another header or other claims, signed by the key of seed 1.
    fn forged(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signs = EncodingKey::from_ed_der(&[PKCS8_PREFIX.as_slice(), &[1; 32]].concat());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &signs, Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    }

    #[test]
    fn what_is_signed_is_read_while_its_key_is_there() {
        let token = keyring(&[1]).sign(&claims()).unwrap();
        assert_eq!(keyring(&[1]).read(&token), Ok(claims()));
        assert_eq!(keyring(&[2, 1]).read(&token), Ok(claims()), "an older key still counts");
        assert_eq!(keyring(&[2]).read(&token), Err(Foreign));
        assert_eq!(keyring(&[]).read(&token), Err(Foreign));
        assert_eq!(keyring(&[]).sign(&claims()), None);
        let newer = keyring(&[2, 1]).sign(&claims()).unwrap();
        assert_eq!(keyring(&[1]).read(&newer), Err(Foreign), "the newest signs");
    }

    #[test]
    fn a_token_holds_for_its_time() {
        let claims = claims();
        for (now_secs, holds) in [(939, false), (940, true), (1000, true), (1059, true), (1060, false)] {
            assert_eq!(claims.holds_at(now_secs), holds, "{now_secs}");
        }
    }

    #[test]
    fn nothing_but_our_own_is_read() {
        let (keys, good) =
            (keyring(&[1]), json!({"typ": "JWT", "alg": "EdDSA", "kid": format!("{:016x}", 1)}));
        let said = serde_json::to_value(claims()).unwrap();
        assert_eq!(keys.read(&forged(&good, &said)), Ok(claims()));
        let jwk = Jwk::from_encoding_key(
            &EncodingKey::from_ed_der(&[PKCS8_PREFIX.as_slice(), &[1; 32]].concat()),
            Algorithm::EdDSA,
        );
        for (key, value) in [
            ("jwk", serde_json::to_value(jwk.unwrap()).unwrap()),
            ("jku", json!("http://127.0.0.1/keys")),
            ("x5u", json!("http://127.0.0.1/keys")),
            ("x5c", json!(["AAAA"])),
            ("crit", json!(["exp"])),
            ("kid", json!("0000000000000002")),
            ("kid", Value::Null),
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("typ", json!("at+jwt")),
        ] {
            let mut header = good.clone();
            header[key] = value.clone();
            assert_eq!(keys.read(&forged(&header, &said)), Err(Foreign), "{key}: {value}");
        }
        for (key, value) in [
            ("aud", json!("another")),
            ("aud", Value::Null),
            ("iss", json!("another")),
            ("exp", Value::Null),
            ("exp", json!("1060")),
            ("nbf", Value::Null),
            ("sub", Value::Null),
            ("use", json!("id")),
            ("access", json!("all")),
        ] {
            let mut claims = said.clone();
            claims[key] = value.clone();
            assert_eq!(keys.read(&forged(&good, &claims)), Err(Foreign), "{key}: {value}");
        }
        let token = keys.sign(&claims()).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        for bad in [format!("{message}."), message.to_owned(), format!("{message}.AAAA"), format!("x{token}")]
        {
            assert_eq!(keys.read(&bad), Err(Foreign), "{bad}");
        }
        assert!(!signature.is_empty());
        assert!(!format!("{keys:?}").contains("[1, 1"));
    }
}
