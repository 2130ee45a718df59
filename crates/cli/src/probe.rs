//! `truehop probe`: is anybody believed at a deployment who claims to be somebody else?
//!
//! 1. Honest requests tell whom the deployment takes us for. Without one address, nothing else is sent.
//! 2. Every forgery of the corpus is sent on a connection of its own, at a steady pace, with honest requests between.
//! 3. Each is judged by the address in its answer, and of those that were believed the mend is told.
//!
//! Invariant: nothing is sent to an address that is neither of this machine nor private before somebody has agreed; all
//! connections go to one address; a run ends by itself.

mod args;
mod cause;
mod connector;
mod consent;
mod echo;
mod extent;
mod report;
mod slow_down;
mod survey;
mod target;
mod tls;
mod verdict;

use std::io::{self, IsTerminal};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use truehop_forgeries::{Forgery, Language, forgeries, mends};

pub(crate) use args::{HELP, ProbeArgs};
use connector::{Connector, Handshake};
use extent::Extent;
use report::Report;
use slow_down::SlowDown;
use survey::{End, NoEcho, Pages, Plan, Survey};
use verdict::Kind;

use crate::output::say;
use crate::status::{Failure, Status};

/// Who we say that we are.
const AGENT: &str = concat!(
    "truehop-probe/",
    env!("CARGO_PKG_VERSION"),
    " (+tries whether forged client addresses are believed; see truehop probe --help)"
);

/// How long a run may take at most.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Probes a deployment and tells what came of it.
pub(crate) fn probe(args: &ProbeArgs) -> Result<Status, Failure> {
    let corpus = forgeries().map_err(|error| ours(&error))?;
    if !args.url.is_tls && (args.insecure || args.ca.is_some()) {
        let message = "error: --ca and --insecure are for https:// only";
        return Err(Failure::new(Status::Usage, message));
    }
    let addresses = addresses(args)?;
    let languages = match args.url.is_tls {
        true => &[Language::Http1, Language::Http2][..],
        false => &[Language::Http1],
    };
    consent::ask(args, &addresses, Extent::of(&corpus, languages))?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(refused_by_the_system)?;
    runtime.block_on(run(args, &addresses, &corpus))
}

async fn run(args: &ProbeArgs, addresses: &[SocketAddr], corpus: &[Forgery]) -> Result<Status, Failure> {
    let echo = args.echo_json.clone().unwrap_or_default();
    let mut stop = Stop::new().map_err(refused_by_the_system)?;
    let bar = bar();
    let arrive = async {
        let (connector, handshake) = reach(args, addresses).await?;
        is_no_proxy(args, handshake.from)?;
        let mut languages = vec![Language::Http1];
        languages.extend(handshake.speaks_http2.then_some(Language::Http2));
        let plan = Plan {
            connector,
            host: &args.url.authority,
            pages: Pages::of(&args.url.path),
            echo: &echo,
            corpus,
            languages,
            trusted: args.trusted.unwrap_or(Ipv4Addr::LOCALHOST),
            rate: args.rate,
            slow_down: SlowDown::new(bar.clone()),
        };
        let client = plan
            .introduce()
            .await
            .map_err(|no_echo| is_no_echo(args, &plan, &no_echo))?;
        Ok::<_, Failure>((plan, handshake, client))
    };
    let (plan, handshake, client) = tokio::select! {
        arrived = arrive => arrived?,
        () = stop.asked() => return Ok(Status::Stopped),
    };
    let url = args.url.url();
    if let Some(expected) = args.expect.map(|ip| ip.to_canonical())
        && expected != client
    {
        let message = format!(
            "error: {url} takes us for {client}, and not for {expected}, when we are honest\nhelp: if that is a proxy \
             of yours, its claim is not read; truehop recipe shows what each side must say"
        );
        return Err(Failure::new(Status::Negative, message));
    }
    if args
        .trusted
        .is_some_and(|trusted| IpAddr::from(trusted) == client)
    {
        let message = format!(
            "error: {url} takes us for {client}, which --trusted says is its proxy, when we are honest\nhelp: then it \
             takes everybody for that proxy, whose claim is not read; truehop recipe shows what each side must say"
        );
        return Err(Failure::new(Status::Negative, message));
    }

    bar.set_length(plan.len().try_into().unwrap_or_default());
    let mut survey = Survey::new(client);
    let end = tokio::select! {
        end = timeout(LONGEST, survey.run(&plan, &bar)) => end.unwrap_or(End::Late),
        () = stop.asked() => End::Stopped,
    };
    survey.give_up();
    bar.finish_and_clear();
    let report = Report {
        url,
        agent: AGENT,
        is_blind: args.expect.is_none() && client.is_loopback() && client != handshake.from,
        to: plan.connector.to,
        from: handshake.from,
        is_from_chosen: args.from.is_some(),
        survey: &survey,
        slow_down: &plan.slow_down,
        end: &end,
        mends: mends().map_err(|error| ours(&error))?,
    };
    match args.json {
        true => say(report.json().map_err(io::Error::from)?)?,
        false => say(report.text(args.all))?,
    }
    Ok(match end {
        End::Stopped => Status::Stopped,
        _ if report.is_blind => Status::Negative,
        _ if survey.count(Kind::Fooled) + survey.count(Kind::Broke) > 0 => Status::Negative,
        End::Whole if survey.count(Kind::Unjudged) > 0 => Status::Unavailable,
        End::Whole => Status::Done,
        End::Late | End::Changed(_) => Status::Unavailable,
    })
}

/// The addresses to try: those of the kind of `--from`, if it is given.
fn addresses(args: &ProbeArgs) -> Result<Vec<SocketAddr>, Failure> {
    let host = &args.url.host;
    let mut addresses = args.url.addresses().map_err(|error| {
        Failure::new(
            Status::Unavailable,
            format!("error: {host:?} has no address: {error}"),
        )
    })?;
    if let Some(from) = args.from {
        addresses.retain(|address| address.is_ipv4() == from.is_ipv4());
    }
    match addresses.is_empty() {
        true => Err(Failure::new(
            Status::Unavailable,
            format!("error: {host:?} has no address that can be connected to from there"),
        )),
        false => Ok(addresses),
    }
}

/// Refuses to come from the address that is said to be a trusted proxy's.
fn is_no_proxy(args: &ProbeArgs, from: IpAddr) -> Result<(), Failure> {
    match args.trusted {
        Some(trusted) if IpAddr::from(trusted) == from => Err(Failure::new(
            Status::Usage,
            format!(
                "error: --trusted {trusted} is our own address: who trusts it is right to believe whatever we claim, and \
                 no verdict would mean anything\nhelp: probe from an address that is not trusted: with --from IP, or from \
                 another machine"
            ),
        )),
        _ => Ok(()),
    }
}

/// The first address that takes connections. All further ones go there.
async fn reach(args: &ProbeArgs, addresses: &[SocketAddr]) -> Result<(Connector, Handshake), Failure> {
    let tls = match args.url.is_tls {
        true => Some(tls::settings(&args.url.host, args)?),
        false => None,
    };
    let (mut failed, mut help) = (String::new(), String::new());
    for to in addresses {
        let connector = Connector {
            to: *to,
            from: args.from,
            tls: tls.clone(),
            patience: Duration::from_secs(args.timeout.into()),
        };
        match connector.handshake().await {
            Ok(handshake) => return Ok((connector, handshake)),
            Err(failure) => {
                failed += &format!("error: {to} {}\n", failure.what);
                help = failure.help;
            }
        }
    }
    Err(Failure::new(Status::Unavailable, format!("{failed}help: {help}")))
}

fn is_no_echo(args: &ProbeArgs, plan: &Plan<'_>, NoEcho { what, help }: &NoEcho) -> Failure {
    let (url, to) = (args.url.url(), plan.connector.to);
    Failure::new(
        Status::Unavailable,
        format!("error: {url} at {to} {what}\nhelp: {help}"),
    )
}

/// Something that tests should have found.
fn ours(error: &dyn std::error::Error) -> Failure {
    Failure::new(
        Status::Software,
        format!("error: the forgeries cannot be read: {error}"),
    )
}

fn refused_by_the_system(error: io::Error) -> Failure {
    Failure::new(Status::System, format!("error: cannot start: {error}"))
}

/// Tells on a terminal how far it is; a file or a pipe gets nothing of it.
fn bar() -> ProgressBar {
    let target = match io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template("probing {bar:30} {pos}/{len}, {eta} left, {msg}") {
        bar.set_style(style);
    }
    bar.with_message("0 fooled")
}

/// SIGINT and SIGTERM, after which what is known is told.
struct Stop(Signal, Signal);

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self(
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ))
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}
