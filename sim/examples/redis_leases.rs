//! A host with a leased limit: its scheduler starts requests on tokens of a budget that several replicas share, and a
//! thread asks a Redis server for them.
//!
//! Each `LeaseWanted` goes to [`Leases::ask`], which never waits, and each answer back to `lease_granted`. What fails is
//! reported to nobody: the core asks again with the same number, and falls back if that does not help. The script and
//! the keys are those of Python's `tidegate.redis`; the protocol is in `docs/LEASES.md`.
//!
//!     cargo run -p tidegate-sim --example redis_leases -- redis://127.0.0.1:6379 BUDGET TOKENS TIMES

use std::error::Error;
use std::iter;
use std::process;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::{Client, Connection, RedisResult, cmd, pipe};
use tidegate::{
    Action, Config, Instant, LeaseTerms, QuotaLimit, Rate, RequestSpec, Scheduler, TenantId, TenantPolicy,
    Tier, TierConfig, Usage, WorkerSpec,
};

const SCRIPT: &str = include_str!("../../python/tidegate/lease.lua");

/// How long a store that stopped holds up the wishes after it.
const TIMEOUT: Duration = Duration::from_secs(1);
/// For how long a grant is good: well below the hour for which the store remembers who has it.
const VALID_FOR: Duration = Duration::from_secs(2);
/// Wishes that go to the store at once, chosen arbitrarily.
const MAX_BATCH: usize = 1_000;

/// A rate that replicas share, by the name that it has in the store.
#[derive(Clone, Debug)]
struct Budget {
    name: String,
    rate: Rate,
}

/// What a scheduler wants of the store: its action `LeaseWanted`.
#[derive(Clone, Copy, Debug)]
struct Wish {
    tenant: TenantId,
    limit: QuotaLimit,
    seq: u64,
    tokens: u64,
    returned: i64,
}

/// The store's answer to a wish: what `lease_granted` takes.
#[derive(Clone, Copy, Debug)]
struct Grant {
    tenant: TenantId,
    limit: QuotaLimit,
    seq: u64,
    tokens: u64,
    valid_for: Duration,
}

/// One for each scheduler, made together with it. Its thread ends when it is dropped.
struct Leases {
    wishes: Sender<(Budget, Wish)>,
    grants: Receiver<Grant>,
}

impl Leases {
    fn new(client: Client, replica: &str) -> Result<Self, Box<dyn Error>> {
        let (wishes, asked) = channel();
        let (answer, grants) = channel();
        let incarnation = incarnation_of(replica)?;
        thread::spawn(move || run(&client, &incarnation, &asked, &answer));
        Ok(Self { wishes, grants })
    }

    /// Takes a wish to the store, some time soon. Never waits.
    fn ask(&self, budget: Budget, wish: Wish) {
        self.wishes.send((budget, wish)).expect("the thread lives as long as this");
    }
}

/// A name that no other process has, nor had.
fn incarnation_of(replica: &str) -> Result<String, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(format!("{replica}:{}-{}", process::id(), now.as_nanos()))
}

/// A connection, and the name of the script there.
struct Store {
    connection: Connection,
    script: String,
}

impl Store {
    fn connect(client: &Client) -> RedisResult<Self> {
        let mut connection = client.get_connection_with_timeout(TIMEOUT)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        connection.set_write_timeout(Some(TIMEOUT))?;
        let script = cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query(&mut connection)?;
        Ok(Self { connection, script })
    }

    /// The tokens granted to each; none for a wish that is older than what was answered.
    fn ask(&mut self, incarnation: &str, batch: &[(Budget, Wish)]) -> RedisResult<Vec<Option<u64>>> {
        let mut pipeline = pipe();
        for (Budget { name, rate }, Wish { seq, tokens, returned, .. }) in batch {
            let key = format!("tidegate:{{{name}}}");
            let evaluation = pipeline.cmd("EVALSHA").arg(&self.script).arg(2);
            evaluation.arg(&key).arg(format!("{key}:{incarnation}"));
            evaluation.arg(rate.amount).arg(rate.period_ns).arg(rate.burst);
            evaluation.arg(*seq).arg(*tokens).arg(*returned);
        }
        pipeline.query(&mut self.connection)
    }
}

fn run(client: &Client, incarnation: &str, asked: &Receiver<(Budget, Wish)>, answer: &Sender<Grant>) {
    let mut store = None;
    while let Ok(first) = asked.recv() {
        let batch: Vec<_> = iter::once(first).chain(asked.try_iter()).take(MAX_BATCH).collect();
        let connected = store.take().map_or_else(|| Store::connect(client), Ok);
        let answered = connected.and_then(|mut connected: Store| {
            let answers = connected.ask(incarnation, &batch)?;
            store = Some(connected);
            Ok(answers)
        });
        // A connection that failed is not used again. The core repeats what got no answer.
        for ((_, wish), tokens) in batch.into_iter().zip(answered.unwrap_or_default()) {
            let Some(tokens) = tokens else { continue };
            let Wish { tenant, limit, seq, .. } = wish;
            let grant = Grant { tenant, limit, seq, tokens, valid_for: VALID_FOR };
            if answer.send(grant).is_err() {
                return;
            }
        }
    }
}

/// Owns the scheduler. Its engine is done with a request as soon as it starts.
struct Host {
    sched: Scheduler,
    leases: Leases,
    budget: Budget,
    tenant: TenantId,
    began_at: std::time::Instant,
}

impl Host {
    fn new(leases: Leases, budget: Budget) -> Result<Self, Box<dyn Error>> {
        let config = Config::builder().dimensions(["slots"]).tier(TierConfig::new("only"));
        let mut sched = Scheduler::new(config.leases(LeaseTerms::new(2)).build()?, Instant::ZERO);
        sched.worker_add(Instant::ZERO, WorkerSpec::new([1]))?;
        let tenant = sched.tenant_set(Instant::ZERO, &budget.name)?;
        let policy = TenantPolicy::new().tokens(budget.rate).leased(true);
        sched.tenant_configure(Instant::ZERO, tenant, &policy)?;
        Ok(Self { sched, leases, budget, tenant, began_at: std::time::Instant::now() })
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.began_at.elapsed().as_nanos() as u64)
    }

    /// Does what the scheduler wants. How many requests started, and ended.
    fn poll(&mut self) -> Result<u64, Box<dyn Error>> {
        let mut started = 0;
        while let Some(action) = self.sched.poll(self.now()) {
            match action {
                Action::Start { request, attempt, .. } => {
                    let tokens = self.sched.usage(self.tenant)?.held_tokens;
                    let usage = Usage { prompt_tokens: tokens, ..Usage::default() };
                    self.sched.complete(self.now(), request, attempt, usage)?;
                    started += 1;
                }
                Action::LeaseWanted { tenant, limit, seq, tokens, returned, .. } => {
                    let wish = Wish { tenant, limit, seq, tokens, returned };
                    self.leases.ask(self.budget.clone(), wish);
                }
                other => return Err(format!("nothing is stopped here: {other:?}").into()),
            }
        }
        Ok(started)
    }

    /// Until the store answers, or the scheduler has something to do; whether either will ever be.
    fn wait(&mut self) -> Result<bool, Box<dyn Error>> {
        let Some(wake_at) = self.sched.poll_timeout() else { return Ok(false) };
        let pause = Duration::from_nanos(wake_at.nanos_since(self.now()));
        if let Ok(Grant { tenant, limit, seq, tokens, valid_for }) = self.leases.grants.recv_timeout(pause) {
            let ns = valid_for.as_nanos() as u64;
            self.sched.lease_granted(self.now(), tenant, limit, seq, tokens, ns)?;
        }
        Ok(true)
    }
}

/// Serves so many requests of so many tokens, one after the other, and gives back what is left.
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, name, tokens, times] = arguments.as_slice() else {
        return Err("usage: redis_leases URL BUDGET TOKENS TIMES".into());
    };
    let budget = Budget { name: name.clone(), rate: Rate::per_second(1_000).burst(100_000) };
    let leases = Leases::new(Client::open(url.as_str())?, "example")?;
    let mut host = Host::new(leases, budget)?;
    let spec = RequestSpec::new(host.tenant, Tier::P0).demand([1]).prompt_tokens(tokens.parse()?);
    for request in 1..=times.parse::<u64>()? {
        host.sched.submit(host.now(), spec)?;
        while host.poll()? == 0 {
            host.wait()?;
        }
        println!("{request} of {tokens} tokens");
    }
    while host.wait()? {
        host.poll()?;
    }
    Ok(())
}
