//! The other crates, each asked as its documentation says.

use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::extract::ConnectInfo;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use parse_net::{ClientAddress, ForwardedSource};
use rama_net::forwarded::Forwarded;
use tower_layer::Layer;
use tower_service::Service;

use crate::rows::{Contender, TRUSTED, ip};

/// An address, or why not; `Display` as the tables show it.
pub struct Said<E>(pub Result<IpAddr, E>);

impl<E: fmt::Display> fmt::Display for Said<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(ip) => write!(f, "{ip}"),
            Err(why) => write!(f, "error: {why}"),
        }
    }
}

pub fn client_ip(
    name: &'static str,
    headers: &HeaderMap,
    read: fn(&HeaderMap) -> Result<IpAddr, ::client_ip::Error>,
    lacks: &'static str,
) -> Contender {
    let headers = headers.clone();
    let shown = match name {
        "x_real_ip" => "client-ip x_real_ip",
        "rightmost_forwarded" => "client-ip rightmost_forwarded",
        _ => "client-ip rightmost_x_forwarded_for",
    };
    Contender::new(shown, lacks, move || Said(read(black_box(&headers))))
}

pub fn real_ip(peer: &str, headers: &HeaderMap, lacks: &'static str) -> Contender {
    let (peer, headers) = (ip(peer), headers.clone());
    let trusted: Vec<::real_ip::IpNet> = TRUSTED.map(|rule| rule.parse().unwrap()).to_vec();
    Contender::new("real-ip", lacks, move || {
        Said(::real_ip::real_ip(black_box(&headers), black_box(peer), &trusted).ok_or("none"))
    })
}

/// Which header parse-net is told to read.
#[derive(Clone, Copy)]
pub enum List {
    XForwardedFor,
    Forwarded,
}

pub fn parse_net(peer: &str, headers: &HeaderMap, list: List) -> Contender {
    let (peer, headers) = (ip(peer), headers.clone());
    let trusted: Vec<ipnetwork::IpNetwork> = TRUSTED.map(|rule| rule.parse().unwrap()).to_vec();
    let name = match list {
        List::XForwardedFor => http::HeaderName::from_static("x-forwarded-for"),
        List::Forwarded => http::header::FORWARDED,
    };
    Contender::new("parse-net", "folds no mapped address", move || {
        // It takes a slice of lines: eight will do.
        let mut lines: [&[u8]; 8] = [&[]; 8];
        let mut count = 0;
        for (slot, value) in lines.iter_mut().zip(black_box(&headers).get_all(&name)) {
            *slot = value.as_bytes();
            count += 1;
        }
        let source = match list {
            List::XForwardedFor => ForwardedSource::XForwardedFor(&lines[..count]),
            List::Forwarded => ForwardedSource::Forwarded(&lines[..count]),
        };
        let trusts = |ip: IpAddr| trusted.iter().any(|network| network.contains(ip));
        Said(
            match ::parse_net::client_address(black_box(peer), source, &trusts, u8::MAX) {
                Ok(ClientAddress::Peer(ip) | ClientAddress::Forwarded { addr: ip, .. }) => Ok(ip),
                Ok(_) => Err("unknown".to_owned()),
                Err(error) => Err(error.to_string()),
            },
        )
    })
}

pub fn rama_net(headers: &HeaderMap, lacks: &'static str) -> Contender {
    let headers = headers.clone();
    let trusted: Vec<ipnetwork::IpNetwork> = TRUSTED.map(|rule| rule.parse().unwrap()).to_vec();
    Contender::new("rama-net", lacks, move || {
        let line = black_box(&headers)
            .get(http::header::FORWARDED)
            .and_then(|value| value.to_str().ok());
        let forwarded: Option<Forwarded> = line.and_then(|line| line.parse().ok());
        let walk = |forwarded: &Forwarded| {
            let elements: Vec<_> = forwarded.iter().collect();
            let mut nodes = elements
                .iter()
                .rev()
                .map(|element| element.ref_forwarded_for().and_then(|node| node.ip()));
            nodes
                .find(|ip| ip.is_none_or(|ip| !trusted.iter().any(|network| network.contains(ip))))
                .flatten()
        };
        Said(forwarded.as_ref().and_then(walk).ok_or("none"))
    })
}

/// Passes the request's parts back, so that one request serves for all calls.
#[derive(Clone)]
struct Back;

impl Service<Request<Option<Parts>>> for Back {
    type Response = Response<Option<Parts>>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Option<Parts>>) -> Self::Future {
        std::future::ready(Ok(Response::new(Some(request.into_parts().0))))
    }
}

pub fn tower_real_ip(peer: &str, headers: &HeaderMap, lacks: &'static str) -> Contender {
    use ::tower_real_ip::{RealIp, RealIpLayer, TrustedProxyConfig};

    let config = TrustedProxyConfig::parse_str(&TRUSTED.join(";")).unwrap();
    let mut service = RealIpLayer::new(config).layer(Back);
    let mut request: Request<Option<Parts>> = Request::new(None);
    *request.headers_mut() = headers.clone();
    request
        .extensions_mut()
        .insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
    let mut parts = Some(request.into_parts().0);
    Contender::new("tower-real-ip (as a layer)", lacks, move || {
        let parts_now = parts.take().unwrap();
        let future = pin!(service.call(Request::from_parts(parts_now, None)));
        let Poll::Ready(Ok(response)) = future.poll(&mut Context::from_waker(Waker::noop())) else {
            return Said(Err("not ready"));
        };
        parts = response.into_body();
        let told = parts
            .as_mut()
            .and_then(|parts| parts.extensions.remove::<RealIp>());
        Said(told.map(|RealIp(ip)| ip).ok_or("none"))
    })
}

pub fn ppp(wire: Vec<u8>, lacks: &'static str) -> Contender {
    use ::ppp::{HeaderResult, v1, v2};

    Contender::new("ppp", lacks, move || {
        Said(match HeaderResult::parse(black_box(&wire)) {
            HeaderResult::V1(Ok(header)) => match header.addresses {
                v1::Addresses::Tcp4(ends) => Ok(IpAddr::from(ends.source_address)),
                _ => Err("nobody"),
            },
            HeaderResult::V2(Ok(header)) => match header.addresses {
                v2::Addresses::IPv4(ends) => Ok(IpAddr::from(ends.source_address)),
                _ => Err("nobody"),
            },
            _ => Err("no header"),
        })
    })
}

pub fn rama_haproxy(wire: Vec<u8>, lacks: &'static str) -> Contender {
    use ::rama_haproxy::protocol::{HeaderResult, v1, v2};

    Contender::new("rama-haproxy", lacks, move || {
        Said(match HeaderResult::parse(black_box(&wire)) {
            HeaderResult::V1(Ok(header)) => match header.addresses {
                v1::Addresses::Tcp4(ends) => Ok(IpAddr::from(ends.source_address)),
                _ => Err("nobody"),
            },
            HeaderResult::V2(Ok(header)) => match header.addresses {
                v2::Addresses::IPv4(ends) => Ok(IpAddr::from(ends.source_address)),
                _ => Err("nobody"),
            },
            _ => Err("no header"),
        })
    })
}
