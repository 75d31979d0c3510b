//! Nginx, which sends files by sendfile(2) and knows nothing of a registry.

use super::Kind;
use crate::tls::{self, Identity};
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// The directory below its home whose files it serves.
pub const ROOT: &str = "root";

pub fn command(home: &Path, address: SocketAddr, identity: Option<&Identity>) -> Command {
    let root = home.join(ROOT);
    fs::create_dir_all(&root).expect("a directory in the home");
    let file = home.join("nginx.conf");
    fs::write(&file, config(home, address, identity)).expect("a file in the home");
    let mut command = Command::new(Kind::Nginx.program());
    command.arg("-p").arg(home).arg("-c").arg(file).arg("-e").arg(home.join("error.log"));
    command.stderr(Stdio::null());
    command
}

/// As many workers as this registry has; `sendfile_max_chunk 0` lets one call send all that the socket takes.
fn config(home: &Path, address: SocketAddr, identity: Option<&Identity>) -> String {
    let home = home.display();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    // Who is not root gets a warning for this line, and the workers are its own anyway.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let secure = if identity.is_some() { " ssl" } else { "" };
    let mut text = format!(
        "{user}daemon off;\nworker_processes {workers};\npid {home}/nginx.pid;\n\
         error_log {home}/error.log error;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  sendfile_max_chunk 0;\n  \
         keepalive_timeout 75;\n  keepalive_requests 1000000000;\n  keepalive_time 24h;\n  \
         default_type application/octet-stream;\n"
    );
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(text, "  {kind}_temp_path {home}/{kind};").expect("a string takes all");
    }
    writeln!(text, "  server {{\n    listen {address}{secure};\n    root {home}/{ROOT};").expect("as above");
    if let Some(identity) = identity {
        let (certificate, key) = (identity.certificate_path.display(), identity.key_path.display());
        writeln!(
            text,
            "    ssl_certificate {certificate};\n    ssl_certificate_key {key};\n    \
             ssl_protocols TLSv1.3;\n    ssl_conf_command Ciphersuites {};",
            tls::CIPHER_OF_OPENSSL
        )
        .expect("as above");
    }
    text.push_str("  }\n}\n");
    text
}
