//! `halfwave web` from a browser's point of view: types, compression, caching, and that nothing
//! outside the folder is served.
#![allow(clippy::unwrap_used)] // a test may panic

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_halfwave"));
    command.arg("web").args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs a command that must fail with one line that contains `parts`.
fn fails(dir: &Path, args: &[&str], parts: &[&str]) {
    let output = command(args).current_dir(dir).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && err.starts_with("error: ") && err.lines().count() == 1, "{err}");
    assert!(parts.iter().all(|part| err.contains(part)), "{err}");
}

/// The command while it serves.
struct Server {
    child: Child,
    port: u16,
    printed: String,
}

impl Server {
    fn start(dir: &Path, args: &[&str]) -> Self {
        let mut child = command(args).current_dir(dir).stdout(Stdio::piped()).spawn().unwrap();
        let mut printed = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut printed).unwrap();
        let rest = printed.strip_prefix("http://localhost:").unwrap_or_else(|| panic!("it printed {printed}"));
        let port = rest.split('/').next().unwrap().parse().unwrap();
        Self { child, port, printed }
    }

    /// Sends a request verbatim, and returns the answer's head, with names in lower case, and body.
    fn ask(&self, method: &str, target: &str, more: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n").unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let body = bytes.split_off(end + 4);
        let head = String::from_utf8(bytes).unwrap();
        let small = |line: &str| match line.split_once(": ") {
            Some((name, value)) => format!("{}: {value}\r\n", name.to_lowercase()),
            None => format!("{line}\r\n"),
        };
        (head.lines().map(small).collect(), body)
    }

    fn get(&self, target: &str) -> (String, String) {
        let (head, body) = self.ask("GET", target, "");
        (head, String::from_utf8(body).unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A page in `site`, with a private file beside it.
fn site() -> tempfile::TempDir {
    let base = tempfile::tempdir().unwrap();
    fs::create_dir_all(base.path().join("site/pkg")).unwrap();
    for (name, text) in [
        ("index.html", "<p>page</p>"),
        ("app.js", "plain"),
        ("app.js.br", "brotli"),
        ("app.js.gz", "gzip"),
        ("style.css", "p {}"),
        ("icon.svg", "<svg/>"),
        ("data.json", "{}"),
        ("pkg/halfwave_bg.wasm", "\0asm"),
        ("pkg/halfwave.d.ts", "export {}"),
        ("pkg/a b.txt", "space"),
        ("../secret.txt", "secret"),
    ] {
        fs::write(base.path().join("site").join(name), text).unwrap();
    }
    base
}

#[test]
fn the_page_is_sent_as_browsers_want_it() {
    let base = site();
    let server = Server::start(base.path(), &["--dir", "site", "--port", "0"]);
    assert!(server.printed.contains("/ serves site") && server.printed.contains("Ctrl-C"), "{}", server.printed);
    for (target, kind, text) in [
        ("/", "text/html", "<p>page</p>"),
        ("/?recipe=digits", "text/html", "<p>page</p>"),
        ("/index.html", "text/html", "<p>page</p>"),
        ("/app.js", "text/javascript", "plain"),
        ("/style.css", "text/css", "p {}"),
        ("/icon.svg", "image/svg+xml", "<svg/>"),
        ("/data.json", "application/json", "{}"),
        ("/pkg/halfwave_bg.wasm", "application/wasm", "\0asm"),
        ("/pkg/halfwave.d.ts", "text/plain; charset=utf-8", "export {}"),
        ("/pkg/a%20b.txt", "text/plain", "space"),
    ] {
        let (head, body) = server.get(target);
        assert!(head.starts_with("HTTP/1.1 200 "), "{target}: {head}");
        assert!(head.contains(&format!("\r\ncontent-type: {kind}\r\n")), "{target}: {head}");
        assert!(head.contains("\r\ncache-control: no-cache\r\n"), "{target}: {head}");
        assert_eq!(body, text, "{target}");
        let (again, nothing) = server.ask("HEAD", target, "");
        assert!(again.starts_with("HTTP/1.1 200 ") && again.contains(&format!("\r\ncontent-type: {kind}")), "{again}");
        assert!(again.contains(&format!("\r\ncontent-length: {}\r\n", text.len())) && nothing.is_empty(), "{again}");
        let modified = head.lines().find_map(|line| line.strip_prefix("last-modified: ")).unwrap();
        let (same, nothing) = server.ask("GET", target, &format!("If-Modified-Since: {modified}\r\n"));
        assert!(same.starts_with("HTTP/1.1 304 ") && nothing.is_empty(), "{same}");
    }
    for (accepted, sent) in
        [("gzip, br", "brotli"), ("gzip", "gzip"), ("br;q=0, gzip;q=0.5", "gzip"), ("zstd", "plain")]
    {
        let (head, body) = server.ask("GET", "/app.js", &format!("Accept-Encoding: {accepted}\r\n"));
        assert_eq!(String::from_utf8(body).unwrap(), sent, "{accepted}");
        assert!(head.contains("\r\ncontent-type: text/javascript\r\n"), "{head}");
        assert_eq!(head.contains("\r\ncontent-encoding: "), sent != "plain", "{head}");
    }
}

#[test]
fn nothing_else_is_sent() {
    let base = site();
    #[cfg(unix)]
    {
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, base.path().join("site").join(name)).unwrap();
        link("../secret.txt", "link.txt");
        link("..", "up");
        link("../secret.txt", "style.css.gz");
        link("app.js", "inner.js");
    }
    fs::create_dir(base.path().join("site/empty")).unwrap();
    let server = Server::start(base.path(), &["--dir", "site", "--port", "0"]);
    for target in [
        "/nowhere",
        "/pkg",
        "/pkg/",
        "/empty/",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/pkg/../../secret.txt",
        "/pkg/%2e%2e/%2e%2e/secret.txt",
        "/..\\secret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/link.txt",
        "/up/secret.txt",
        "/style.css",
        "/index.html%00",
    ] {
        if cfg!(windows) && target == "/style.css" {
            continue; // no link there
        }
        let (head, body) = server.ask("GET", target, "Accept-Encoding: gzip\r\n");
        let body = String::from_utf8(body).unwrap();
        assert!(head.starts_with("HTTP/1.1 404 ") && head.contains("text/html"), "{target}: {head}");
        assert!(body.contains("This page does not exist") && body.len() < 300, "{target}: {body}");
    }
    let (head, _) = server.get("/%ff");
    assert!(head.starts_with("HTTP/1.1 40"), "{head}");
    let (head, _) = server.ask("POST", "/", "Content-Length: 0\r\n");
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
    #[cfg(unix)]
    assert_eq!(server.get("/inner.js").1, "plain", "a link within the folder is fine");
    assert_eq!(server.get("/").1, "<p>page</p>", "it still serves");
}

#[test]
fn ports_and_folders_are_checked() {
    let base = site();
    let dir = base.path();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    fails(dir, &["--dir", "site", "--port", &port], &[&format!("port {port} is taken"), "--port 0"]);
    fails(dir, &["--dir", "nowhere"], &["nowhere contains no index.html", "web/build.sh"]);
    fails(dir, &["--dir", "site/pkg"], &["site/pkg contains no index.html"]);
    // Without a given port each server gets its own.
    let servers = [0; 2].map(|_| Server::start(dir, &["--dir", "site"]));
    assert!(servers[0].port >= 8080 && servers[0].port < servers[1].port, "{} {}", servers[0].port, servers[1].port);
    // A page in this folder takes precedence.
    fs::create_dir(dir.join("web")).unwrap();
    fs::rename(dir.join("site"), dir.join("web/dist")).unwrap();
    let server = Server::start(dir, &["--port", "0"]);
    assert!(server.printed.contains("serves web/dist"), "{}", server.printed);
    assert_eq!(server.get("/").1, "<p>page</p>");
}
