//! Asks a Redis server for the tokens of budgets that several replicas share, in a thread of its own.
//!
//! What a host does with each `LeaseWanted` of its scheduler: hand it to [`Leases::ask`], which never waits, and give
//! [`Leases::grants`] back to the scheduler. What fails is reported to nobody: the core asks again with the same number,
//! and falls back if that does not help. The script and the keys are those of Python's `tidegate.redis`; the protocol
//! is in `docs/LEASES.md`.
//!
//!     cargo run -p tidegate-sim --example redis_leases -- redis://127.0.0.1:6379 BUDGET TOKENS TIMES

use std::error::Error;
use std::iter;
use std::process;
use std::sync::mpsc::{Receiver, Sender, TryIter, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::{Client, Connection, RedisResult, cmd, pipe};

const SCRIPT: &str = include_str!("../../python/tidegate/lease.lua");

/// How long a store that stopped holds up the wishes after it.
const TIMEOUT: Duration = Duration::from_secs(1);
/// For how long a grant is good: well below the hour for which the store remembers who has it.
const VALID_FOR: Duration = Duration::from_secs(10);
/// Wishes that go to the store at once, chosen arbitrarily.
const MAX_BATCH: usize = 1_000;

/// A rate that replicas share, by the name that it has in the store.
#[derive(Clone, Debug)]
struct Budget {
    name: String,
    amount: u64,
    period_ns: u64,
    burst: u64,
}

/// What a scheduler wants of the store, and of which budget.
#[derive(Clone, Debug)]
struct Wish {
    budget: Budget,
    seq: u64,
    tokens: u64,
    returned: i64,
}

/// The store's answer to a wish: what `lease_granted` takes.
#[derive(Clone, Debug)]
struct Grant {
    budget: String,
    seq: u64,
    tokens: u64,
    valid_for: Duration,
}

/// One for each scheduler, made together with it. Its thread ends when it is dropped.
struct Leases {
    wishes: Sender<Wish>,
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
    fn ask(&self, wish: Wish) {
        self.wishes.send(wish).expect("the thread lives as long as this");
    }

    /// What was granted since the last call. Never waits.
    fn grants(&self) -> TryIter<'_, Grant> {
        self.grants.try_iter()
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
    fn ask(&mut self, incarnation: &str, batch: &[Wish]) -> RedisResult<Vec<Option<u64>>> {
        let mut pipeline = pipe();
        for Wish { budget, seq, tokens, returned } in batch {
            let key = format!("tidegate:{{{}}}", budget.name);
            let evaluation = pipeline.cmd("EVALSHA").arg(&self.script).arg(2);
            evaluation.arg(&key).arg(format!("{key}:{incarnation}"));
            evaluation.arg(budget.amount).arg(budget.period_ns).arg(budget.burst);
            evaluation.arg(*seq).arg(*tokens).arg(*returned);
        }
        pipeline.query(&mut self.connection)
    }
}

fn run(client: &Client, incarnation: &str, asked: &Receiver<Wish>, answer: &Sender<Grant>) {
    let mut store = None;
    while let Ok(first) = asked.recv() {
        let batch: Vec<Wish> = iter::once(first).chain(asked.try_iter()).take(MAX_BATCH).collect();
        let connected = store.take().map_or_else(|| Store::connect(client), Ok);
        let answered = connected.and_then(|mut connected: Store| {
            let answers = connected.ask(incarnation, &batch)?;
            store = Some(connected);
            Ok(answers)
        });
        // A connection that failed is not used again. The core repeats what got no answer.
        for (wish, tokens) in batch.into_iter().zip(answered.unwrap_or_default()) {
            let Some(tokens) = tokens else { continue };
            let grant = Grant { budget: wish.budget.name, seq: wish.seq, tokens, valid_for: VALID_FOR };
            if answer.send(grant).is_err() {
                return;
            }
        }
    }
}

/// Plays the core of a tenant that always wants as much again: asks again what is not answered in time.
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, name, tokens, times] = arguments.as_slice() else {
        return Err("usage: redis_leases URL BUDGET TOKENS TIMES".into());
    };
    let budget = Budget { name: name.clone(), amount: 1_000, period_ns: 1_000_000_000, burst: 100_000 };
    let leases = Leases::new(Client::open(url.as_str())?, "example")?;
    for seq in 1..=times.parse()? {
        let wish = Wish { budget: budget.clone(), seq, tokens: tokens.parse()?, returned: 0 };
        let mut asked_at: Option<std::time::Instant> = None;
        let grant = loop {
            if asked_at.is_none_or(|at| at.elapsed() >= TIMEOUT) {
                leases.ask(wish.clone());
                asked_at = Some(std::time::Instant::now());
            }
            match leases.grants().find(|grant| grant.seq == seq) {
                Some(grant) => break grant,
                None => thread::sleep(Duration::from_millis(1)),
            }
        };
        println!("{} {} {} {:?}", grant.budget, grant.seq, grant.tokens, grant.valid_for);
    }
    Ok(())
}
