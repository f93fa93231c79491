//! The policies of tenants as a file writes them. There is one reader of policies, the core's for the default policy: a
//! tenant's table goes through it, and what it finds is told with the tenant's own path and line.

use tidegate::{Config, ConfigFault, TenantPolicy};
use toml::{Table, Value};

use crate::document::Document;
use crate::fields::fault;

/// The policy that a tenant's table says, which has neither name nor parent any more.
pub(crate) fn policy(
    mut table: Table,
    path: &str,
    config: &Config,
    faults: &mut Vec<ConfigFault>,
) -> TenantPolicy {
    let before = faults.len();
    spell_out(&mut table, path, config, faults);
    if faults.len() > before {
        return TenantPolicy::new();
    }
    let text = toml::to_string(&around(table, config)).expect("what was read from TOML is TOML");
    match Config::from_toml(&text) {
        Ok(config) => *config.default_policy(),
        Err(error) => {
            let document = Document::parse(&text).expect("it was written as TOML");
            faults.extend(error.faults.into_iter().map(|found| located(found, path, &document)));
            TenantPolicy::new()
        }
    }
}

/// A config that has nothing but what policies speak of.
fn around(policy: Table, config: &Config) -> Table {
    let text = |name: &str| Value::String(name.to_owned());
    let tier = |name: &str| Value::Table(Table::from_iter([("name".to_owned(), text(name))]));
    Table::from_iter([
        ("dimensions".to_owned(), Value::Array(config.dimensions().map(text).collect())),
        ("tiers".to_owned(), Value::Array(config.tiers().iter().map(|found| tier(found.name())).collect())),
        (DEFAULT.to_owned(), Value::Table(policy)),
    ])
}

const DEFAULT: &str = "default_policy";

/// A fault of the default policy as one of the tenant at `path`.
fn located(mut found: ConfigFault, path: &str, document: &Document<'_>) -> ConfigFault {
    // A fault of the shape has its line, and a path that begins anywhere.
    let line = found.line.take();
    if !found.path.starts_with(DEFAULT) {
        found.path = line.and_then(|line| document.path_at(line)).unwrap_or_default();
    }
    let inner = found.path.strip_prefix(DEFAULT).unwrap_or_default();
    found.path = format!("{path}{inner}");
    found
}

/// What may also be written as Python's `tenant_configure` takes it: a tier by its number, a rate as three numbers
/// with nanoseconds in the middle, units as a list.
fn spell_out(table: &mut Table, path: &str, config: &Config, faults: &mut Vec<ConfigFault>) {
    if let Some(Value::Integer(number)) = table.get("most_urgent") {
        let tier = usize::try_from(*number).ok().and_then(|number| config.tiers().get(number));
        match tier {
            Some(tier) => {
                table.insert("most_urgent".to_owned(), Value::String(tier.name().to_owned()));
            }
            None => faults.push(fault(
                format!("{path}.most_urgent"),
                format!("there is no tier {number}; there are {}", config.tiers().len()),
            )),
        }
    }
    for name in ["requests", "tokens"] {
        let Some(Value::Array(list)) = table.get(name) else { continue };
        let numbers: Option<Vec<i64>> = list.iter().map(Value::as_integer).collect();
        let Some([amount, period_ns, burst]) = numbers.as_deref() else {
            faults
                .push(fault(format!("{path}.{name}"), "is written as { amount = …, period = …, burst = … }"));
            continue;
        };
        let rate = Table::from_iter([
            ("amount".to_owned(), Value::Integer(*amount)),
            ("period".to_owned(), Value::String(format!("{period_ns}ns"))),
            ("burst".to_owned(), Value::Integer(*burst)),
        ]);
        table.insert(name.to_owned(), Value::Table(rate));
    }
    if let Some(Value::Array(list)) = table.get("max_in_use") {
        if list.len() != config.dimensions().len() {
            faults.push(fault(format!("{path}.max_in_use"), "is written as units by dimension"));
            return;
        }
        let named = config.dimensions().map(str::to_owned).zip(list.iter().cloned()).collect();
        table.insert("max_in_use".to_owned(), Value::Table(named));
    }
}
