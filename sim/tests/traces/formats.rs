//! What each format's rows become.

use std::path::Path;

use tidegate_sim::trace::{Kind, TraceRequest, Work, Workload, tenant_of_sixteen};

use crate::support::{file, gzip, read, read_content, rows};

fn example(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn source_of(workload: &Workload) -> &str {
    let (_, text) = workload.sources[0].split_once(": ").expect("a trace and what was made of it");
    text
}

#[test]
fn the_documented_examples() {
    let expected = [
        (0, 0, "acme", 512, 128),
        (250, 1, "globex", 2048, 16),
        (250, 0, "acme", 96, 256),
        (1500, 2, "initech", 4000, 400),
    ];
    let csv = read(Kind::Csv, &example("example.csv"));
    assert_eq!(rows(&csv), expected);
    let jsonl = read(Kind::Jsonl, &example("example.jsonl"));
    assert_eq!(rows(&jsonl), expected);
    assert_eq!(csv.tenants, ["acme", "globex", "initech"]);
    assert_eq!(source_of(&csv), "4 requests, tiers and tenants of its own");
}

#[test]
fn the_documentation_shows_the_examples_and_every_kind() {
    let documentation = include_str!("../../../docs/TRACES.md");
    assert!(documentation.contains(include_str!("../data/example.csv")));
    assert!(documentation.contains(include_str!("../data/example.jsonl")));
    for kind in Kind::ALL {
        assert!(documentation.contains(&format!("| `{kind}` |")), "{kind}");
    }
}

/// One workload, however its file was written.
#[test]
fn ways_to_write_the_same_file() {
    let text = std::fs::read_to_string(example("example.csv")).expect("the example is there");
    let plain = read_content(Kind::Csv, "t.csv", &text);
    let crlf = text.replace('\n', "\r\n");
    let same = [
        text.trim_end().to_owned(),
        crlf.clone(),
        crlf.trim_end().to_owned(),
        format!("\u{feff}{text}"),
        text.replace(',', " , "),
        text.replace("acme", "\"acme\"").replace("arrival_s", "\"arrival_s\""),
    ];
    for written in &same {
        assert_eq!(rows(&read_content(Kind::Csv, "t.csv", written)), rows(&plain), "{written:?}");
        assert_eq!(rows(&read_content(Kind::Csv, "t.csv", gzip(written))), rows(&plain), "{written:?}");
    }
    let mut two_members = gzip(&text[..60]);
    two_members.extend(gzip(&text[60..]));
    assert_eq!(rows(&read_content(Kind::Csv, "t", two_members)), rows(&plain));
}

#[test]
fn columns_in_any_order_and_more_of_them() {
    let workload = read_content(
        Kind::Csv,
        "t.csv",
        "note,output_tokens,prompt_tokens,tenant,tier,arrival_s\n\"one, two\",2,1,\"a \"\"b\"\"\",p1,0.5\n",
    );
    assert_eq!(rows(&workload), [(500, 1, "a \"b\"", 1, 2)]);
}

#[test]
fn json_values_may_be_text() {
    let workload = read_content(
        Kind::Jsonl,
        "t.jsonl",
        "{\"arrival_s\": \"0.5\", \"tier\": 2, \"tenant\": 17, \"prompt_tokens\": \"7\", \"output_tokens\": 9, \"x\": null}",
    );
    assert_eq!(rows(&workload), [(500, 2, "17", 7, 9)]);
}

#[test]
fn azure_rows_keep_their_distance_and_hash_their_stamp() {
    let stamps = ["2023-11-16 23:59:59.5000000", "2023-11-17 00:00:01.0000001"];
    let text =
        format!("TIMESTAMP,ContextTokens,GeneratedTokens\r\n{},374,44\r\n{},396,109", stamps[0], stamps[1]);
    for (kind, service, tier) in [(Kind::AzureConv, "conv", 0), (Kind::AzureCode, "code", 1)] {
        let workload = read_content(kind, "t.csv", &text);
        let tenants =
            stamps.map(|stamp| format!("t{:02}", tenant_of_sixteen(&format!("azure/{service}/{stamp}"))));
        assert_eq!(rows(&workload), [(0, tier, &*tenants[0], 374, 44), (1500, tier, &*tenants[1], 396, 109)]);
        assert_eq!(workload.requests[1].arrival_ns, 1_500_000_100);
        assert_eq!(source_of(&workload), format!("2 requests, P{tier} and 16 tenants by our labels"));
    }
}

const MOONCAKE: &str =
    "{\"timestamp\": 0, \"input_length\": 6758, \"output_length\": 500, \"hash_ids\": [0, 1, 2]}
{\"timestamp\": 0, \"input_length\": 7322, \"output_length\": 490, \"hash_ids\": [0, 14]}
{\"timestamp\": 0, \"input_length\": 9, \"output_length\": 8, \"hash_ids\": [0]}
{\"timestamp\": 3001, \"input_length\": 10, \"output_length\": 7, \"hash_ids\": [0, 1]}
";

#[test]
fn mooncake_conversations_are_spread_and_keep_their_tenant() {
    let workload = read_content(Kind::Mooncake, "conversation_trace.jsonl", MOONCAKE);
    let tenant = |block: u64| format!("t{:02}", tenant_of_sixteen(&format!("mooncake/{block}")));
    let (first, second, alone) = (tenant(1), tenant(14), tenant(0));
    assert_eq!(
        rows(&workload),
        [
            (0, 0, &*first, 6758, 500),
            (1000, 0, &*second, 7322, 490),
            (2000, 0, &*alone, 9, 8),
            (3001, 0, &*first, 10, 7)
        ]
    );
}

#[test]
fn other_mooncake_traces_are_left_as_they_are() {
    let workload = read_content(Kind::Mooncake, "synthetic_trace.jsonl", MOONCAKE);
    let tenant = format!("t{:02}", tenant_of_sixteen("mooncake/0"));
    assert!(rows(&workload).iter().all(|row| row.1 == 1 && row.2 == tenant));
    assert_eq!(rows(&workload).iter().map(|row| row.0).collect::<Vec<_>>(), [0, 0, 0, 3001]);
    assert_eq!(
        source_of(&workload),
        "4 requests, not a conversation file by its name: P1 and 16 tenants by our labels"
    );
}

#[test]
fn lengths_become_a_backlog() {
    let text = "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n3772,54,3826,69.8\n2015,156,2171,12.9\n";
    let arxiv = read_content(Kind::Arxiv, "t.csv", text);
    let second = format!("t{:02}", tenant_of_sixteen("arxiv/1"));
    assert_eq!(rows(&arxiv), [(0, 2, "t03", 3772, 54), (0, 2, &*second, 2015, 156)]);
    assert_eq!(source_of(&arxiv), "2 requests, all at the start, P2 and 16 tenants by our labels");
    let sharegpt = read_content(Kind::Sharegpt, "t.csv", text);
    assert_eq!(rows(&sharegpt)[0], (0, 2, "t06", 3772, 54));
}

#[test]
fn servegen_clients_are_tenants() {
    let text =
        "timestamp_s,client_id,input_tokens,output_tokens\n0.000,35,246,2216\n0.125,23,267,707\n0.5,35,1,2\n";
    let workload = read_content(Kind::ServegenCsv, "servegen_deepseek-r1_10h-11h.sampled.csv.gz", gzip(text));
    assert_eq!(workload.tenants, ["deepseek-r1/35", "deepseek-r1/23"]);
    assert_eq!(rows(&workload)[0], (0, 2, "deepseek-r1/35", 246, 2216));
    assert_eq!(rows(&workload)[2], (500, 2, "deepseek-r1/35", 1, 2));
    assert_eq!(
        source_of(&workload),
        "3 requests, model deepseek-r1, its 2 clients as tenants, their tiers by our labels"
    );
}

#[test]
fn vtc_clients_are_tenants() {
    let text = "{\"adapter_dir\": \"dummy-lora-7b-rank-8-0\", \"prompt_len\": 456, \"output_len\": 156, \
                \"request_latency\": 7.2, \"first_token_latency\": -1, \"req_time\": 0.44189318386898047}";
    let workload = read_content(Kind::Vtc, "t.jsonl", text);
    assert_eq!(rows(&workload), [(441, 0, "dummy-lora-7b-rank-8-0", 456, 156)]);
    assert_eq!(workload.requests[0].arrival_ns, 441_893_184);
}

#[test]
fn openb_pods_are_jobs() {
    let text = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time
a,12000,16384,1,460,,LS,Running,0,12,0
b,12000,16384,8,1000,V100M16|V100M32,BE,Running,5,7.5,0
c,12000,16384,0,,,BE,Running,5,7,0
d,12000,16384,1,1000,,Burstable,Pending,6,,
e,12000,16384,2,1000,,Guaranteed,Failed,9,8,
";
    let workload = read(Kind::Openb, &file("t.csv", text));
    let job = |arrival_s: u64, tier, gpu_milli, duration_ms: u64| TraceRequest {
        arrival_ns: arrival_s * 1_000_000_000,
        tier,
        tenant: 0,
        work: Work::Job { gpu_milli, duration_ns: duration_ms * 1_000_000 },
    };
    assert_eq!(workload.requests, [job(0, 0, 460, 12_000), job(5, 2, 8_000, 2_500)]);
    assert_eq!(
        source_of(&workload),
        "2 requests, skipped 1 without a GPU and 2 without a duration, tiers from the QoS class, one tenant"
    );
}
