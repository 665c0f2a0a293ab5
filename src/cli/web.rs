//! `halfwave web`: serves the built web page on this machine.
//!
//! **Invariant:** no file outside the page's folder is served, whatever a request or a link in the
//! folder refers to.

use super::terminal::print_status;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path as Asked, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use halfwave::{Error, Result};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tower_http::services::ServeDir;

/// Serve the built web page, halfwave in the browser, on this machine.
#[derive(clap::Args)]
#[command(
    after_help = "The page is built by web/build.sh. It needs a browser with WebGPU.\n\nExample:\n  halfwave web --port 8000"
)]
pub(super) struct WebArgs {
    /// Folder of the built page [default: web/dist, here or where halfwave was built]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Port; 0 for any free port [default: the first free port from 8080]
    #[arg(long, value_name = "N")]
    port: Option<u16>,
}

/// Folder of the built page, relative to the sources.
const BUILT: &str = "web/dist";

/// The default port, and the number of ports after it that are tried.
const PORT: u16 = 8080;
const PORTS: u16 = 100;

const NOT_FOUND: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Not found</title>\
<p>This page does not exist. <a href=\"/\">To halfwave</a></p></html>\n";

pub(super) fn web(args: &WebArgs) -> Result<()> {
    let dir = page(args.dir.as_deref())?;
    let root = dir.canonicalize().map_err(Error::io(&dir))?;
    let listener = listen(args.port)?;
    let failed = |error| Error::Usage(format!("the page cannot be served: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let router = Router::new().route("/", get(file)).route("/{*path}", get(file)).with_state(Arc::new(root));
        print_status(&format!(
            "http://localhost:{port}/ serves {}, on this machine only; Ctrl-C stops it",
            dir.display()
        ));
        axum::serve(listener, router).await.map_err(failed)
    })
}

/// Returns the folder of the built page.
fn page(wanted: Option<&Path>) -> Result<PathBuf> {
    let is_page = |dir: &Path| dir.join("index.html").is_file();
    match wanted {
        Some(dir) if is_page(dir) => Ok(dir.to_path_buf()),
        Some(dir) => Err(Error::Usage(format!(
            "{} contains no index.html; --dir expects the folder of the built page, which web/build.sh creates",
            dir.display()
        ))),
        None => {
            let known = [PathBuf::from(BUILT), Path::new(env!("CARGO_MANIFEST_DIR")).join(BUILT)];
            let built = known.into_iter().find(|dir| is_page(dir));
            built.ok_or_else(|| {
                Error::Usage(format!(
                    "the page is not built: run web/build.sh in halfwave's sources, which creates {BUILT}, or specify the folder with --dir DIR"
                ))
            })
        }
    }
}

/// Listens on the loopback address.
fn listen(wanted: Option<u16>) -> Result<TcpListener> {
    let bind = |port| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    let first = wanted.unwrap_or(PORT);
    let mut ports = first..=if wanted.is_some() { first } else { PORT + PORTS };
    let taken = |bound: &std::io::Result<_>| bound.as_ref().is_err_and(|error| error.kind() == ErrorKind::AddrInUse);
    let bound = ports.by_ref().map(bind).find(|bound| !taken(bound));
    match bound {
        Some(bound) => bound.map_err(|error| Error::Usage(format!("port {first} cannot be used: {error}"))),
        None => Err(Error::Usage(format!("port {first} is taken; choose another, or any free one: --port 0"))),
    }
}

/// Serves one path, given without its leading slash; `None` is the page itself.
async fn file(State(root): State<Arc<PathBuf>>, asked: Option<Asked<String>>, request: Request) -> Response {
    let asked = asked.map_or_else(String::new, |Asked(path)| path);
    let mut response = match inside(&root, &asked) {
        true => {
            let mut files = ServeDir::new(&*root).precompressed_br().precompressed_gzip();
            match files.try_call(request).await {
                Ok(response) => response.map(Body::new),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
            }
        }
        false => StatusCode::NOT_FOUND.into_response(),
    };
    if response.status() == StatusCode::NOT_FOUND {
        response = (StatusCode::NOT_FOUND, Html(NOT_FOUND)).into_response();
    } else if response.status().is_success() && asked.ends_with(".ts") {
        // MIME databases assign this extension to a video format.
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    // A rebuilt page is picked up at once, and unchanged files are not sent again.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Returns whether the file for a path, compressed or not, is inside the folder after resolving
/// links; `root` itself contains no links.
fn inside(root: &Path, asked: &str) -> bool {
    let mut file = root.join(asked);
    if file.is_dir() {
        file.push("index.html");
    }
    ["", ".br", ".gz"].into_iter().all(|ending| {
        let mut name = file.clone().into_os_string();
        name.push(ending);
        match Path::new(&name).canonicalize() {
            Ok(real) => real.starts_with(root),
            Err(_) => !ending.is_empty(),
        }
    })
}
