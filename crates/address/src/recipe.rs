//! Pairs that fit: what to write into a proxy's configuration, and the policy that understands it.
//!
//! Invariant: every policy in here builds, and every configuration is accepted by the program that it is for (as far as
//! the tests find that program installed). The addresses are examples, and so are file names: they must be replaced.
//!
//! ```
//! let recipe = truehop::recipe::find("nginx").unwrap();
//! println!("{}\n\n{}", recipe.proxy_config, recipe.policy);
//! ```

/// A proxy's configuration, and the policy that fits it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Recipe {
    /// By which it is found: lower case, with hyphens.
    pub name: &'static str,
    /// The set-up in a few words.
    pub title: &'static str,
    /// What the proxy is told, in its own language. Comments in it say where it belongs.
    pub proxy_config: &'static str,
    /// The policy in TOML: a table `[client]`, or tables `[[client]]` when it has steps.
    pub policy: &'static str,
    /// What must hold besides, each in a sentence or two.
    pub notes: &'static [&'static str],
}

/// The recipe of this name.
pub fn find(name: &str) -> Option<&'static Recipe> {
    ALL.iter().find(|recipe| recipe.name == name)
}

const ONLY_THE_PROXY: &str = "Let the service listen where only the proxy can connect. The policy holds without that, \
                              but whoever connects directly passes the proxy by.";
const ITS_OWN_SUBNETS: &str = "Nodes of the load balancer come and go with new addresses, so its subnets are trusted: \
                               put nothing else into them.";
const OTHERS_ACCOUNTS: &str = "The networks prove that the provider connects, not that your account with it does: \
                               without the client certificate or the secret, another customer's site can forward to \
                               your server.";
const CHECK_THE_AGE: &str = "The named set is a snapshot: look at its age, and read a file of the provider's present \
                             networks when it is old.";

/// All recipes, by name.
pub const ALL: &[Recipe] = &[
    Recipe {
        name: "apache",
        title: "Apache httpd as the first proxy",
        proxy_config: include_str!("recipes/apache.conf"),
        policy: include_str!("recipes/apache.toml"),
        notes: &[
            "mod_proxy_http adds the peer to X-Forwarded-For unless ProxyAddHeaders is off.",
            "Before 2.4.54 a client could make httpd drop its own X-Forwarded-For by naming it in Connection.",
            ONLY_THE_PROXY,
        ],
    },
    Recipe {
        name: "apache-behind-proxy-protocol",
        title: "Apache httpd behind a proxy that speaks the PROXY protocol",
        proxy_config: include_str!("recipes/apache-behind-proxy-protocol.conf"),
        policy: include_str!("recipes/apache-behind-proxy-protocol.toml"),
        notes: &[
            "RemoteIPProxyProtocol holds for all that listens on the same address and port, and so must the rule about who may \
             ask. RemoteIPProxyProtocolExceptions is no such rule: it says who need not send the header.",
            ONLY_THE_PROXY,
        ],
    },
    Recipe {
        name: "aws-alb",
        title: "an AWS Application Load Balancer",
        proxy_config: include_str!("recipes/aws-alb.sh"),
        policy: include_str!("recipes/aws-alb.toml"),
        notes: &[
            ITS_OWN_SUBNETS,
            "If CloudFront stands before it, add \"cloudfront\" to trusted.",
        ],
    },
    Recipe {
        name: "aws-nlb",
        title: "an AWS Network Load Balancer with PROXY protocol version 2",
        proxy_config: include_str!("recipes/aws-nlb.sh"),
        policy: include_str!("recipes/aws-nlb.toml"),
        notes: &[
            ITS_OWN_SUBNETS,
            "With preserve_client_ip the packets come from the client's own address, which is not trusted to write a \
             PROXY header. Then switch proxy_protocol_v2 off and write from = \"peer\".",
        ],
    },
    Recipe {
        name: "caddy",
        title: "Caddy as the first proxy",
        proxy_config: include_str!("recipes/caddy.caddyfile"),
        policy: include_str!("recipes/caddy.toml"),
        notes: &[
            "With trusted_proxies, Caddy keeps what those send and appends to it: then add them to trusted.",
            ONLY_THE_PROXY,
        ],
    },
    Recipe {
        name: "caddy-behind-proxy-protocol",
        title: "Caddy 2.7 behind a proxy that speaks the PROXY protocol",
        proxy_config: include_str!("recipes/caddy-behind-proxy-protocol.caddyfile"),
        policy: include_str!("recipes/caddy-behind-proxy-protocol.toml"),
        notes: &[
            "Older versions refuse this. The networks of allow need a prefix length; nobody else's PROXY header is believed.",
            "For a listener with TLS write tls below proxy_protocol: the header stands before the handshake.",
            ONLY_THE_PROXY,
        ],
    },
    Recipe {
        name: "cloudflare",
        title: "Cloudflare",
        proxy_config: include_str!("recipes/cloudflare.txt"),
        policy: include_str!("recipes/cloudflare.toml"),
        notes: &[
            OTHERS_ACCOUNTS,
            CHECK_THE_AGE,
            "Behind Cloudflare's tunnel daemon the peer is the daemon: trust its address instead, and let nothing \
             else connect.",
        ],
    },
    Recipe {
        name: "cloudflare-aws-nlb",
        title: "Cloudflare, then an AWS Network Load Balancer",
        proxy_config: include_str!("recipes/cloudflare-aws-nlb.sh"),
        policy: include_str!("recipes/cloudflare-aws-nlb.toml"),
        notes: &[ITS_OWN_SUBNETS, OTHERS_ACCOUNTS, CHECK_THE_AGE],
    },
    Recipe {
        name: "cloudfront",
        title: "Amazon CloudFront",
        proxy_config: include_str!("recipes/cloudfront.sh"),
        policy: include_str!("recipes/cloudfront.toml"),
        notes: &[
            OTHERS_ACCOUNTS,
            CHECK_THE_AGE,
            "CloudFront writes IPv6 addresses with a port and without brackets, which is what format says.",
        ],
    },
    Recipe {
        name: "envoy",
        title: "Envoy as the first proxy",
        proxy_config: include_str!("recipes/envoy.yaml"),
        policy: include_str!("recipes/envoy.toml"),
        notes: &[
            "Clients' entries stay in the list, to the left of the one that Envoy adds; they are never looked at.",
            ONLY_THE_PROXY,
        ],
    },
    Recipe {
        name: "haproxy",
        title: "HAProxy as the first proxy",
        proxy_config: include_str!("recipes/haproxy.cfg"),
        policy: include_str!("recipes/haproxy.toml"),
        notes: &[
            "option forwardfor adds a line after those that are there; lines are read as one list.",
            "HAProxy passes Connection on: a client that names X-Forwarded-For in it gets the error hop-by-hop, and harms \
             only itself.",
            ONLY_THE_PROXY,
        ],
    },
    Recipe {
        name: "haproxy-behind-proxy-protocol",
        title: "HAProxy behind a proxy that speaks the PROXY protocol",
        proxy_config: include_str!("recipes/haproxy-behind-proxy-protocol.cfg"),
        policy: include_str!("recipes/haproxy-behind-proxy-protocol.toml"),
        notes: &[
            "Others may connect, and are themselves the clients: what they send for a PROXY header is no request.",
            ONLY_THE_PROXY,
        ],
    },
    Recipe {
        name: "haproxy-proxy-protocol",
        title: "HAProxy in TCP mode with PROXY protocol version 2",
        proxy_config: include_str!("recipes/haproxy-proxy-protocol.cfg"),
        policy: include_str!("recipes/haproxy-proxy-protocol.toml"),
        notes: &[
            "HAProxy's own health checks carry a PROXY header that names nobody: then the peer is the client.",
        ],
    },
    Recipe {
        name: "nginx",
        title: "nginx as the first proxy",
        proxy_config: include_str!("recipes/nginx.conf"),
        policy: include_str!("recipes/nginx.toml"),
        notes: &[
            "nginx drops header names with an underscore unless underscores_in_headers is on; leave it off.",
            "A location with a proxy_set_header of its own inherits none of those above it: repeat them all.",
            "For proxy_pass to a Unix socket write trusted = [\"unix\"].",
            ONLY_THE_PROXY,
        ],
    },
    Recipe {
        name: "nginx-behind-proxy-protocol",
        title: "nginx behind a proxy that speaks the PROXY protocol",
        proxy_config: include_str!("recipes/nginx-behind-proxy-protocol.conf"),
        policy: include_str!("recipes/nginx-behind-proxy-protocol.toml"),
        notes: &[
            "Others may connect, and have to write a PROXY header too; but only that of an address in set_real_ip_from changes \
             $remote_addr.",
            "Here the realip module is right, because nobody reads in the list which proxy stood before this one.",
            ONLY_THE_PROXY,
        ],
    },
    Recipe {
        name: "nginx-chain",
        title: "nginx behind another proxy",
        proxy_config: include_str!("recipes/nginx-chain.conf"),
        policy: include_str!("recipes/nginx-chain.toml"),
        notes: &[
            "Every proxy of the chain must be trusted, or the first that is not looks like the client.",
            "Do not use the realip module in this nginx as well: it would add the client once more instead of the \
             proxy before it.",
        ],
    },
    Recipe {
        name: "traefik",
        title: "Traefik as the first proxy",
        proxy_config: include_str!("recipes/traefik.yml"),
        policy: include_str!("recipes/traefik.toml"),
        notes: &[
            "With forwardedHeaders.trustedIPs, Traefik keeps what those send and appends to it: then add them to trusted.",
            "A container's address changes unless the network gives it a fixed one; trusting its whole network trusts \
             every container in it.",
        ],
    },
    Recipe {
        name: "truehop-behind-proxy-protocol",
        title: "Truehop's edge behind a proxy that speaks the PROXY protocol",
        proxy_config: include_str!("recipes/truehop-behind-proxy-protocol.edge.toml"),
        policy: include_str!("recipes/truehop-behind-proxy-protocol.toml"),
        notes: &[
            "A second Truehop passes requests on: the first file is its own, and the policy is that of the service behind it.",
            "With from = \"x-forwarded-for\" that service finds the proxy before as well, and must trust both.",
        ],
    },
];
