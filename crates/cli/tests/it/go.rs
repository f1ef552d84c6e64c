//! Go as the tests find it: Debian's packages of it, of gRPC and of the generators, since nothing is fetched while they run.

use std::{
    env,
    path::{Path, PathBuf},
};

/// What the guide calls, beside buf.
const PROGRAMS: [&str; 4] = ["go", "gofmt", "protoc-gen-go", "protoc-gen-go-grpc"];

/// Where it finds gRPC, and the protobuf that goes with generated code of today.
const SOURCES: [&str; 4] = [
    "google.golang.org/grpc",
    "google.golang.org/protobuf",
    "google.golang.org/genproto/googleapis/rpc/errdetails",
    // Older ones have no such file.
    "github.com/golang/protobuf/proto/registry.go",
];

/// The folder that holds these, as `src`.
fn packages() -> PathBuf {
    let packages = env::var_os("ROSTER_TEST_GOPATH").map_or_else(|| PathBuf::from("/usr/share/gocode"), PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let found = |name: &str| env::split_paths(&path).any(|folder| folder.join(name).is_file());
    let programs = PROGRAMS.into_iter().filter(|name| !found(name)).map(PathBuf::from);
    let sources = SOURCES.iter().map(|name| packages.join("src").join(name)).filter(|path| !path.exists());
    let missing: Vec<_> = programs.chain(sources).collect();
    assert!(
        missing.is_empty(),
        "the guide for Go needs {missing:?}: scripts/setup --tests installs what Debian has of it, and ROSTER_TEST_GOPATH \
         names a GOPATH that has gRPC where that is not /usr/share/gocode"
    );
    packages
}

/// The lines for a shell after which Go builds what is in `folder` without modules and without a network, and calls what
/// the packages of Python have brought.
pub fn offline(folder: &Path, python: &str) -> String {
    let exports = [
        format!("PATH=\"$PATH:{}\"", Path::new(python).parent().unwrap().display()),
        format!("GOPATH='{}:{}'", folder.display(), packages().display()),
        // The next run finds what this one compiles, wherever its folder is.
        format!("GOFLAGS=-trimpath GOCACHE='{}'", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-build").display()),
        "GO111MODULE=off GOPROXY=off GOTOOLCHAIN=local CGO_ENABLED=0".to_owned(),
        // Old versions of gRPC try calls again only when told to.
        "GRPC_GO_RETRY=on".to_owned(),
    ];
    format!("export {}\n", exports.join(" "))
}
