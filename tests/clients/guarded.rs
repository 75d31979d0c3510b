//! A Wharfinger that wants credentials, and the order in which each client is tried with them.

use std::error::Error;
use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::process::{self, Finished};
use crate::registry::Kind;
use crate::scene::{NotHere, Scene, ensure, text};
use crate::support::Server;
pub use crate::support::accounts::PASSWORD;
use crate::support::accounts::{builder_with, write_users};
use crate::support::command::{answer, command};
use crate::support::tls::{Authority, Files};

/// A user of a guarded registry; PASSWORD is the password.
pub const USER: &str = "alice";
/// Who has an account may do everything, others nothing.
pub const CLOSED: &str = "[{who=[\"users\"], repos=[\"**\"], can=[\"pull\",\"push\",\"delete\"]}]";
/// Everybody may pull, and who has an account may push, too.
pub const PULL_FOR_ALL: &str = "[{who=[\"anonymous\"], repos=[\"**\"], can=[\"pull\"]}, \
                                 {who=[\"users\"], repos=[\"**\"], can=[\"pull\",\"push\"]}]";
const WRONG: &str = "another password";

/// A Wharfinger with a user.
pub struct Guarded {
    pub server: Server,
    users: PathBuf,
    /// What it read its certificate from, and may look at again.
    certificate: Option<(Files, PathBuf)>,
}

impl Guarded {
    /// One with these rules and other settings, by their variables.
    pub fn start(scene: &Scene, access: &str, settings: &[(&str, &str)]) -> Result<Guarded, Box<dyn Error>> {
        expect_ours(scene)?;
        let folder = scene.folder("guarded")?;
        let builder = builder_with(&folder, access);
        let builder = settings.iter().fold(builder, |builder, (name, value)| builder.env(name, value));
        Ok(Guarded { server: builder.start(), users: folder.join("htpasswd"), certificate: None })
    }

    /// One that is closed, at this address, and speaks TLS with a certificate of an authority of its own.
    pub fn start_tls(scene: &Scene, address: IpAddr) -> Result<Guarded, Box<dyn Error>> {
        expect_ours(scene)?;
        let folder = scene.folder("guarded")?;
        let authority = Authority::create();
        let files = Files::with(&authority.sign(address));
        // By the name that podman, skopeo and docker look for.
        let trusted = scene.folder("certs.d")?.join("ca.crt");
        std::fs::write(&trusted, &authority.certificate)?;
        let builder = builder_with(&folder, CLOSED).listen(address);
        let builder =
            files.settings().into_iter().fold(builder, |builder, (name, value)| builder.env(name, &value));
        let users = folder.join("htpasswd");
        Ok(Guarded { server: builder.start(), users, certificate: Some((files, trusted)) })
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.server.addr().to_string()
    }

    /// What clients call something in it.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.host())
    }

    /// The file with the certificate to trust, where it speaks TLS.
    pub fn authority(&self) -> Option<&str> {
        self.certificate.as_ref().map(|(_, file)| text(file))
    }

    /// The folder with nothing but that file.
    pub fn authority_folder(&self) -> Option<&str> {
        self.certificate.as_ref().and_then(|(_, file)| file.parent()).map(text)
    }

    fn set_password(&self, password: &str) {
        write_users(&self.users, &[(USER, password)]);
    }

    /// A new robot's secret.
    fn robot(&self, name: &str, repositories: &str) -> Result<String, Box<dyn Error>> {
        let create = ["token", "create", name, "--repo", repositories, "--can", "pull,push"];
        let made: Value = answer(&self.server, &create);
        Ok(made["secret"].as_str().ok_or("no secret")?.to_owned())
    }
}

fn expect_ours(scene: &Scene) -> Result<(), Box<dyn Error>> {
    if scene.registry.kind() == Kind::Wharfinger {
        return Ok(());
    }
    Err(NotHere("its users and rules are not Wharfinger's".to_owned()).into())
}

/// An address of this machine that is not a loopback one, which docker would not check a certificate of.
pub fn own_address() -> Result<IpAddr, Box<dyn Error>> {
    let here = || -> Result<IpAddr, std::io::Error> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        // Of UDP this sends nothing, it only asks the kernel for the way. The address is for documents.
        socket.connect("198.51.100.1:9")?;
        Ok(socket.local_addr()?.ip())
    };
    match here() {
        Ok(address) if !address.is_loopback() => Ok(address),
        _ => Err(NotHere("this machine has no address but 127.0.0.1".to_owned()).into()),
    }
}

/// A client that pushes and pulls one image of its own in `demo/`.
pub trait Client {
    /// What it takes to log in; nothing where it has no such command and each of the others says who.
    fn login(&self, name: &str, password: &str) -> Vec<Command>;
    fn logout(&self) -> Vec<Command>;
    fn push(&self) -> Result<Command, Box<dyn Error>>;
    fn pull(&self) -> Result<Command, Box<dyn Error>>;

    /// Whether its login asks the registry.
    fn asks_at_login(&self) -> bool {
        true
    }

    /// Demands that a pull, which said this, brought what was pushed.
    fn ensure_pulled(&self, said: &Finished) -> Result<(), Box<dyn Error>>;
}

fn run_all(commands: Vec<Command>) -> Result<(), Box<dyn Error>> {
    commands.into_iter().try_for_each(|mut command| process::run(&mut command).map(drop))
}

fn log_in(client: &dyn Client, password: &str) -> Result<(), Box<dyn Error>> {
    run_all(client.login(USER, password))
}

/// Demands that the client is told that it is not allowed, and not that something else went wrong.
pub fn refused(mut command: Command) -> Result<(), Box<dyn Error>> {
    const WORDS: [&str; 8] = [
        "unauthorized",
        "authentication required",
        "authorization failed",
        "no basic auth credentials",
        "basic credential not found",
        "denied",
        "401",
        "invalid username/password",
    ];
    let said = process::run_failing(&mut command)?.to_lowercase();
    ensure!(WORDS.iter().any(|word| said.contains(word)), "it failed otherwise: {command:?}\n{said}");
    Ok(())
}

fn both_refused(client: &dyn Client) -> Result<(), Box<dyn Error>> {
    refused(client.push()?)?;
    refused(client.pull()?)
}

fn push_and_pull(client: &dyn Client) -> Result<(), Box<dyn Error>> {
    process::run(&mut client.push()?)?;
    pull_exact(client)
}

fn pull_exact(client: &dyn Client) -> Result<(), Box<dyn Error>> {
    let said = process::run(&mut client.pull()?)?;
    client.ensure_pulled(&said)
}

/// Nobody is let in without a login or with a wrong one; who is logged in pushes and pulls, until the logout.
pub fn in_and_out(client: &dyn Client) -> Result<(), Box<dyn Error>> {
    both_refused(client)?;
    for login in client.login(USER, WRONG) {
        if client.asks_at_login() {
            refused(login)?;
        } else {
            run_all(vec![login])?;
        }
    }
    both_refused(client)?;
    log_in(client, PASSWORD)?;
    push_and_pull(client)?;
    run_all(client.logout())?;
    both_refused(client)
}

/// Where everybody may pull: nothing but the push wants a login.
pub fn everybody_pulls(client: &dyn Client) -> Result<(), Box<dyn Error>> {
    refused(client.push()?)?;
    log_in(client, PASSWORD)?;
    process::run(&mut client.push()?)?;
    run_all(client.logout())?;
    pull_exact(client)
}

/// A robot's token is its password, for what it says, until it is revoked.
pub fn robots_come_and_go(guarded: &Guarded, client: &dyn Client) -> Result<(), Box<dyn Error>> {
    run_all(client.login("robot", &guarded.robot("elsewhere", "other/**")?))?;
    refused(client.push()?)?;
    // What may not be seen is answered as what is not there.
    process::run_failing(&mut client.pull()?)?;
    run_all(client.logout())?;
    run_all(client.login("robot", &guarded.robot("builder", "demo/**")?))?;
    push_and_pull(client)?;
    command(&guarded.server, &["token", "revoke", "builder"]).expect_code(0);
    both_refused(client)
}

/// What the client has kept is of no use with the next request after the password has changed.
pub fn changed_password(guarded: &Guarded, client: &dyn Client) -> Result<(), Box<dyn Error>> {
    log_in(client, PASSWORD)?;
    push_and_pull(client)?;
    guarded.set_password("a new password");
    both_refused(client)?;
    log_in(client, "a new password")?;
    process::run(&mut client.push()?)?;
    process::run(&mut client.pull()?).map(drop)
}
