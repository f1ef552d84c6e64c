//! `roster cert dev`: a CA of one's own, and what it has signed.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use jiff::{Span, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use crate::{
    args::Global,
    error::{CliError, Failure},
    exit::Exit,
    output::{Output, shell_quoted},
};

/// Names that every server certificate has.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Days that a certificate is good for: the CA is told to others, and so is to last.
const CA_DAYS: i32 = 3650;
const LEAF_DAYS: i32 = 397;
const CA: &str = "ca";
const SERVER: &str = "server";
const CLIENT: &str = "client";

/// Make a CA for this machine, and certificates of it for a server and a client
///
/// A CA that is there already signs the new certificates, so that whoever trusts it need not be told again.
#[derive(Debug, clap::Args)]
pub struct Dev {
    /// The folder for the files
    #[arg(long, value_name = "DIR", default_value = "certs")]
    dir: PathBuf,
    /// A further name or IP address of the server; may be given more than once
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// The name by which the server is to know the client
    #[arg(long, value_name = "NAME", default_value = "dev-client")]
    client: String,
    /// Make a new CA in place of the one that is there; nobody trusts it until they are told
    #[arg(long)]
    force: bool,
}

/// A certificate and its key, in PEM form.
struct Signed {
    certificate: String,
    key: String,
}

type Signer = Issuer<'static, KeyPair>;

impl Dev {
    /// Makes the files, and says what to do with them.
    pub fn run(&self, global: &Global) -> Result<(), Failure> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.map_err(|error| cannot_write(&self.dir, &error))?;
        let ca = self.ca()?;
        let mut names: Vec<String> = LOCAL_NAMES.map(str::to_owned).into();
        names.extend(self.host.iter().filter(|host| !LOCAL_NAMES.contains(&host.as_str())).cloned());
        let server = leaf(&ca, "roster server", names, ExtendedKeyUsagePurpose::ServerAuth)?;
        let client = leaf(&ca, &self.client, vec![self.client.clone()], ExtendedKeyUsagePurpose::ClientAuth)?;
        self.write(SERVER, &server)?;
        self.write(CLIENT, &client)?;
        let mut out = Output::stdout(global);
        out.text(&self.next_steps())?;
        out.flush()
    }

    /// The CA that is there, or a new one.
    fn ca(&self) -> Result<Signer, Failure> {
        let (certificate, key) = (self.file(CA, ""), self.file(CA, "-key"));
        if !self.force && (certificate.exists() || key.exists()) {
            return Ok(existing_ca(&certificate, &key)?);
        }
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        name_and_date(&mut params, "Roster development CA", CA_DAYS)?;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        self.write(CA, &Signed { certificate, key: key.serialize_pem() })?;
        Ok(Issuer::new(params, key))
    }

    fn file(&self, what: &str, kind: &str) -> PathBuf {
        self.dir.join(format!("{what}{kind}.pem"))
    }

    /// The key first: a certificate whose key could not be written is of no use.
    fn write(&self, what: &str, signed: &Signed) -> Result<(), CliError> {
        replace(&self.file(what, "-key"), &signed.key, 0o600)?;
        replace(&self.file(what, ""), &signed.certificate, 0o644)
    }

    fn next_steps(&self) -> String {
        let file = |what, kind| shell_quoted(&self.file(what, kind).display().to_string());
        let (ca, cert, key) = (file(CA, ""), file(SERVER, ""), file(SERVER, "-key"));
        let (client, client_key) = (file(CLIENT, ""), file(CLIENT, "-key"));
        let name = &self.client;
        format!(
            "Made in {dir}: a CA, and certificates of it for a server and for a client named {name}.

Serve with them, here with certificates of clients too, and callers without one as before:
  roster serve --dev --tls-certificate {cert} --tls-key {key} \\
    --tls-client-ca {ca} --client-certificates optional
  and say what the client may do, in roster.toml: service_permissions = [\"{name}: users.read users.list\"]
Call:
  roster user list --server https://localhost:50051 --ca-cert {ca} \\
    --client-cert {client} --client-key {client_key}
  grpcurl -cacert {ca} -cert {client} -key {client_key} localhost:50051 list
  python: grpc.secure_channel(\"localhost:50051\", grpc.ssl_channel_credentials(open(\"{py_ca}\", \"rb\").read()))

The keys are for this machine. Whoever has {ca_key} can pass for any server that trusts this CA.",
            dir = self.dir.display(),
            py_ca = self.file(CA, "").display(),
            ca_key = self.file(CA, "-key").display(),
        )
    }
}

fn existing_ca(certificate: &Path, key: &Path) -> Result<Signer, CliError> {
    let unusable = |path: &Path, why: String| {
        CliError::new(Exit::Data, format!("cannot sign with the CA in {}: {why}", path.display()))
            .hint("bring both of its files back, name another --dir, or make a new CA with --force")
    };
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| unusable(path, error.to_string()));
    let (pem, key_pem) = (read(certificate)?, read(key)?);
    let pair = KeyPair::from_pem(&key_pem).map_err(|error| unusable(key, error.to_string()))?;
    Issuer::from_ca_cert_pem(&pem, pair).map_err(|error| unusable(certificate, error.to_string()))
}

/// A certificate with these names, signed by `ca`.
fn leaf(ca: &Signer, common: &str, names: Vec<String>, usage: ExtendedKeyUsagePurpose) -> Result<Signed, CliError> {
    let shown = names.join(", ");
    let mut params = CertificateParams::new(names).map_err(|_| {
        CliError::new(Exit::Usage, format!("one of {shown} cannot be in a certificate"))
            .hint("--host and --client take names in ASCII, --host IP addresses too")
    })?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    name_and_date(&mut params, common, LEAF_DAYS)?;
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, ca).map_err(failed)?.pem();
    Ok(Signed { certificate, key: key.serialize_pem() })
}

/// From yesterday, for clocks that are behind.
fn name_and_date(params: &mut CertificateParams, common: &str, days: i32) -> Result<(), CliError> {
    let date = |days: i32| {
        let date = Timestamp::now().to_zoned(TimeZone::UTC).date().checked_add(Span::new().days(days));
        let date = date.map_err(|error| CliError::new(Exit::Internal, format!("the clock is off: {error}")))?;
        Ok::<_, CliError>(date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs()))
    };
    params.not_before = date(-1)?;
    params.not_after = date(days)?;
    params.distinguished_name.push(DnType::CommonName, common);
    Ok(())
}

/// Puts a new file in the place of `path`, which never has half of it, nor a key that others can read.
fn replace(path: &Path, text: &str, mode: u32) -> Result<(), CliError> {
    let write = || {
        let new = path.with_extension("new");
        // One that a crash left behind may have had another mode.
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|error: io::Error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> CliError {
    CliError::new(Exit::CannotCreate, format!("cannot write {}: {error}", path.display()))
        .hint("name a folder where you can write with --dir")
}

fn failed(error: rcgen::Error) -> CliError {
    CliError::new(Exit::Internal, format!("cannot make a certificate: {error}"))
}
