//! A token server, as Docker's registry token specification describes it.
//!
//! One user. With the right password it grants what is asked for, without one it grants `pull` (or,
//! if it is closed, nothing), with a wrong one it answers 401. It takes GET with Basic authentication and the OAuth2 POST
//! with `password` and `refresh_token`.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::background::Background;
use crate::scripted::Identity;

/// The most that a form may have; no test sends more.
const MAX_FORM: usize = 64 << 10;

/// A running token server.
#[derive(Debug)]
pub struct TokenServer {
    state: Arc<State>,
    server: Background,
}

#[derive(Debug)]
struct State {
    user: String,
    password: String,
    /// With TLS a token without a password is good for nothing, and otherwise for `pull`.
    tls: Option<Identity>,
    certificate: String,
    certificate_der: Vec<u8>,
    key: EcdsaKeyPair,
    random: SystemRandom,
    issued: AtomicU64,
}

impl TokenServer {
    /// Service that tokens are for.
    pub const SERVICE: &'static str = "longshore-tests";
    /// Issuer of the tokens.
    pub const ISSUER: &'static str = "longshore-tests-issuer";
    /// The identity token that a login with `offline_token` gets.
    pub const REFRESH_TOKEN: &'static str = "a-refresh-token";
    /// For how long a token is good, in seconds: the least that clients believe.
    const LIFETIME: u64 = 60;

    /// Starts one that knows this user.
    pub fn start(user: &str, password: &str) -> io::Result<TokenServer> {
        TokenServer::run(user, password, None)
    }

    /// Starts one with TLS, whose tokens are good for nothing without this user's password.
    pub fn closed(user: &str, password: &str, identity: &Identity) -> io::Result<TokenServer> {
        TokenServer::run(user, password, Some(identity))
    }

    fn run(user: &str, password: &str, identity: Option<&Identity>) -> io::Result<TokenServer> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = CertificateParams::new(vec!["token".to_owned()])
            .and_then(|params| params.self_signed(&key))
            .map_err(io::Error::other)?;
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &key.serialize_der(),
            &random,
        )
        .map_err(|rejected| io::Error::other(rejected.to_string()))?;
        let state = Arc::new(State {
            user: user.to_owned(),
            password: password.to_owned(),
            tls: identity.cloned(),
            certificate: certificate.pem(),
            certificate_der: certificate.der().to_vec(),
            key,
            random,
            issued: AtomicU64::new(0),
        });
        let serving = Arc::clone(&state);
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let server =
            Background::start(address, |listener, stopped| serve(serving, listener, stopped))?;
        Ok(TokenServer { state, server })
    }

    /// Returns the URL that a challenge names.
    pub fn realm(&self) -> String {
        let scheme = if self.state.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/token", self.server.address())
    }

    /// Returns the certificate that tokens are verified with, as PEM.
    pub fn certificate(&self) -> &str {
        &self.state.certificate
    }

    /// Returns how many tokens it has issued.
    pub fn issued(&self) -> u64 {
        self.state.issued.load(Ordering::Relaxed)
    }
}

async fn serve(state: Arc<State>, listener: TcpListener, mut stopped: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(serve_connection(Arc::clone(&state), stream));
                }
            }
        }
    }
}

async fn serve_connection(state: Arc<State>, stream: TcpStream) {
    let Some(identity) = &state.tls else { return answer_all(state, stream).await };
    let Ok(acceptor) = identity.acceptor() else { return };
    if let Ok(stream) = acceptor.accept(stream).await {
        answer_all(Arc::clone(&state), stream).await;
    }
}

async fn answer_all(
    state: Arc<State>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) {
    let service = service_fn(|request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(&state, request).await) }
    });
    // A client that goes away is no concern of the test.
    let connection = hyper::server::conn::http1::Builder::new();
    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(state: &State, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let form = if head.method == Method::POST {
        match Limited::new(body, MAX_FORM).collect().await {
            Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            Err(_) => return reply(StatusCode::BAD_REQUEST, &json!({})),
        }
    } else {
        head.uri.query().unwrap_or_default().to_owned()
    };
    let parameters = decode_form(&form);
    let Some(subject) = state.subject(&head.headers, &parameters) else {
        let error = json!({ "code": "UNAUTHORIZED", "message": "authentication required" });
        return reply(StatusCode::UNAUTHORIZED, &json!({ "errors": [error] }));
    };
    let scopes = parameters.iter().filter(|(key, _)| key == "scope");
    let access: Vec<Value> = scopes
        .flat_map(|(_, scopes)| scopes.split(' '))
        .filter(|_| state.tls.is_none() || !subject.is_empty())
        .filter_map(|scope| grant(scope, !subject.is_empty()))
        .collect();
    let Some(token) = state.token(&subject, &access) else {
        return reply(StatusCode::INTERNAL_SERVER_ERROR, &json!({}));
    };
    state.issued.fetch_add(1, Ordering::Relaxed);
    let mut document =
        json!({ "token": token, "access_token": token, "expires_in": TokenServer::LIFETIME });
    let asked = |key: &str, value: &str| parameters.contains(&(key.to_owned(), value.to_owned()));
    if !subject.is_empty() && (asked("offline_token", "true") || asked("access_type", "offline")) {
        document["refresh_token"] = json!(TokenServer::REFRESH_TOKEN);
    }
    reply(StatusCode::OK, &document)
}

impl State {
    /// Returns who asks, empty for nobody in particular; `None` for somebody with a wrong password.
    fn subject(&self, headers: &HeaderMap, parameters: &[(String, String)]) -> Option<String> {
        let parameter = |key: &str| {
            parameters.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
        };
        let basic = STANDARD.encode(format!("{}:{}", self.user, self.password));
        let right = match (headers.get(AUTHORIZATION), parameter("grant_type")) {
            (Some(value), _) => *value == *format!("Basic {basic}"),
            (None, Some("password")) => {
                parameter("username") == Some(&self.user)
                    && parameter("password") == Some(&self.password)
            }
            (None, Some("refresh_token")) => {
                parameter("refresh_token") == Some(TokenServer::REFRESH_TOKEN)
            }
            (None, Some(_)) => false,
            (None, None) => return Some(String::new()),
        };
        right.then(|| self.user.clone())
    }

    fn token(&self, subject: &str, access: &[Value]) -> Option<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let header = json!({
            "typ": "JWT",
            "alg": "ES256",
            "x5c": [STANDARD.encode(&self.certificate_der)],
        });
        let claims = json!({
            "iss": TokenServer::ISSUER,
            "sub": subject,
            "aud": TokenServer::SERVICE,
            "iat": now,
            "nbf": now.saturating_sub(10),
            "exp": now + TokenServer::LIFETIME,
            "jti": format!("{now}-{}", self.issued.load(Ordering::Relaxed)),
            "access": access,
        });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.key.sign(&self.random, signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// `repository:a/b:pull,push` as an entry of a token's `access`.
fn grant(scope: &str, known: bool) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let actions: Vec<&str> =
        actions.split(',').filter(|action| known || *action == "pull").collect();
    Some(json!({ "type": kind, "name": name, "actions": actions }))
}

fn reply(status: StatusCode, document: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(document.to_string())));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

/// `application/x-www-form-urlencoded`.
fn decode_form(form: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let mut digit = || char::from(rest.next()?).to_digit(16);
                    u8::try_from(digit()? * 16 + digit()?).ok()?
                }
                byte => byte,
            });
        }
        String::from_utf8(bytes).ok()
    };
    form.split('&')
        .filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(key)?, decode(value)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Client;

    #[test]
    fn grants() {
        for (scope, known, expected) in [
            ("repository:a/b:pull,push", true, json!(["pull", "push"])),
            ("repository:a/b:pull,push", false, json!(["pull"])),
            ("repository:host:5000/a:push", false, json!([])),
        ] {
            assert_eq!(grant(scope, known).unwrap()["actions"], expected, "{scope}");
        }
        assert_eq!(grant("repository:h:5/a:pull", true).unwrap()["name"], json!("h:5/a"));
        assert!(grant("", true).is_none());
    }

    #[test]
    fn who_gets_a_token() {
        let server = TokenServer::start("me", "secret").unwrap();
        let client = Client::new(server.server.address().to_string());
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let password = "grant_type=password&username=me&password=secret&access_type=offline";
        let refresh = "grant_type=refresh_token&refresh_token=a-refresh-token";
        let get = "/token?service=longshore-tests&scope=repository:a:pull";
        for (case, response, status) in [
            ("nobody", client.get(get), 200),
            ("right", client.clone().with_authorization(basic("me:secret")).get(get), 200),
            ("wrong", client.clone().with_authorization(basic("me:no")).get(get), 401),
            ("password", client.send("POST", "/token", &form, password.as_bytes()), 200),
            ("refresh", client.send("POST", "/token", &form, refresh.as_bytes()), 200),
            ("odd", client.send("POST", "/token", &form, b"grant_type=other"), 401),
        ] {
            let response = response.unwrap();
            assert_eq!(response.status, status, "{case}");
            let parts = response.json()["token"].as_str().map(|token| token.split('.').count());
            assert_eq!(parts, (status == 200).then_some(3), "{case}");
            let refresh = response.json().get("refresh_token").is_some();
            assert_eq!(refresh, case == "password", "{case}");
        }
        assert_eq!(server.issued(), 4);
    }
}
