//! The pages: built from `web/`, carried in the binary.

use axum::{
    Router,
    extract::Path,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
            CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "web/dist/"]
struct Files;

/// Only what this server serves itself, and nothing inline.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'",
);
/// The microphone is for the page that is there to speak into.
const MICROPHONE: HeaderValue =
    HeaderValue::from_static("camera=(), geolocation=(), microphone=(self), payment=(), usb=()");
const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");

/// Pages of the board are one file, which reads its place from the address.
const BOARD: [&str; 7] = ["/", "/login", "/open", "/wall", "/history", "/trends", "/calls/{call}"];

/// The pages and their assets.
pub fn pages() -> Router {
    let mut router = Router::new();
    for path in BOARD {
        router = router.route(path, get(|headers: HeaderMap| async move { page("index.html", &headers) }));
    }
    router
        .route("/overlay", get(|headers: HeaderMap| async move { page("overlay.html", &headers) }))
        .route("/microphone", get(microphone))
        .route("/assets/{name}", get(asset))
}

async fn microphone(headers: HeaderMap) -> Response {
    let mut response = page("microphone.html", &headers);
    response.headers_mut().insert(PERMISSIONS, MICROPHONE);
    response
}

fn page(name: &str, headers: &HeaderMap) -> Response {
    let mut response = file(name, headers);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    response
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let mut response = file(&format!("assets/{name}"), &headers);
    if name == "overlay.js" {
        // other pages embed it; it holds nothing of anybody
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    response
}

/// A file, compressed where the reader takes that; asked for anew each time, answered only when it has changed.
fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some(plain) = Files::get(name) else { return StatusCode::NOT_FOUND.into_response() };
    let hash: String = plain.metadata.sha256_hash()[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{hash}\"");
    let says = |name: HeaderName, wanted: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(wanted))
    };
    let mut response = if says(IF_NONE_MATCH, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let compressed = Files::get(&format!("{name}.gz")).filter(|_| says(ACCEPT_ENCODING, "gzip"));
        let encoding = compressed.is_some().then_some((CONTENT_ENCODING, HeaderValue::from_static("gzip")));
        let data = compressed.map_or(plain.data, |compressed| compressed.data);
        let mut response = ([(CONTENT_TYPE, media_type(name))], data).into_response();
        response.headers_mut().extend(encoding);
        response
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    response
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
