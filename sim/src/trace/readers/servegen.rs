//! Requests sampled from ServeGen's clients: seconds, the client, lengths.

use std::collections::BTreeMap;

use tidegate::MAX_NAME_BYTES;

use super::{Context, Trace};
use crate::trace::label::tier_of_client;
use crate::trace::{TraceError, TraceRequest, Work, table, text::Text};

const COLUMNS: [&str; 4] = ["timestamp_s", "client_id", "input_tokens", "output_tokens"];

/// How the sampled files are called. The model is part of the tier rule, and the rows do not name it.
const FILE_NAME: &str = "servegen_MODEL_REST.csv";

pub(super) fn read(text: &Text, context: &mut Context<'_>) -> Result<Trace, TraceError> {
    let model = model(text)?;
    let mut clients: BTreeMap<String, (u8, u32)> = BTreeMap::new(); // client: (tier, tenant)
    let mut requests = Vec::new();
    for row in table::rows(text, &COLUMNS)? {
        let [stamp, client, prompt, output] = row?;
        let id = client.tenant()?;
        let (tier, tenant) = match clients.get(id) {
            Some(&known) => known,
            None => {
                let name = format!("{model}/{id}");
                if name.len() > MAX_NAME_BYTES {
                    let expected =
                        format!("a name of {MAX_NAME_BYTES} bytes at most with \"{model}/\" before it");
                    return Err(client.is_not(&expected));
                }
                let new = (tier_of_client(&format!("servegen/{name}")), context.tenant(&name));
                clients.insert(id.to_owned(), new);
                new
            }
        };
        requests.push(TraceRequest {
            arrival_ns: stamp.seconds_as_ns()?,
            tier,
            tenant,
            work: Work::Tokens { prompt: prompt.tokens()?, output: output.tokens()? },
        });
    }
    let labels =
        format!("model {model}, its {} clients as tenants, their tiers by our labels", clients.len());
    Ok(Trace::from_own_zero(requests, &labels))
}

/// The model's name, the second part of the file's.
fn model(text: &Text) -> Result<&str, TraceError> {
    let mut parts = text.name().split('_');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("servegen"), Some(model), Some(_))
            if !model.is_empty() && !model.chars().any(char::is_control) =>
        {
            Ok(model)
        }
        _ => Err(TraceError::in_file(
            text.file(),
            format!(
                "does not say which model it is of, and the tiers depend on it: expected a file called {FILE_NAME}"
            ),
        )),
    }
}
