//! Every bad input gets one line that names file, line and field. The lines are part of what users see, so
//! they are compared whole.

use std::path::{MAIN_SEPARATOR, Path};

use tidegate_sim::trace::{Kind, LoadOptions, TraceError, TraceSpec, load, parse_tier_override};

use crate::support::{file, gzip, read_content, spec};

const HEADER: &str = "arrival_s,tier,tenant,prompt_tokens,output_tokens\n";

/// The message without the folder of the test's file.
fn message_of(kind: Kind, path: &Path) -> String {
    let error = load(&[spec(kind, path)], &LoadOptions::default()).expect_err("the trace is at fault");
    let folder = format!("{}{MAIN_SEPARATOR}", path.parent().expect("a file in a folder").display());
    let message = error.to_string().replace(&folder, "");
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

#[track_caller]
fn refused(kind: Kind, name: &str, content: impl AsRef<[u8]>, expected: &str) {
    assert_eq!(message_of(kind, &file(name, content)), expected);
}

#[track_caller]
fn csv_row_refused(row: &str, expected: &str) {
    refused(Kind::Csv, "t.csv", format!("{HEADER}0,P0,a,1,1\n{row}\n"), expected);
}

#[test]
fn files_that_cannot_be_read() {
    let nowhere = file("t.csv", "").with_file_name("absent.csv");
    assert_eq!(message_of(Kind::Csv, &nowhere), "absent.csv: cannot be read: there is no such file");
    let folder = nowhere.parent().expect("a file in a folder");
    let name = folder.file_name().expect("a folder with a name").to_string_lossy();
    assert_eq!(message_of(Kind::Csv, folder), format!("{name}: cannot be read: it is a folder"));
    refused(Kind::Csv, "t.csv", "", "t.csv: is empty");
    refused(Kind::Jsonl, "t.jsonl", "\n \n", "t.jsonl: is empty");
    refused(Kind::Csv, "t.csv", HEADER, "t.csv: has no request that can be replayed");
}

#[test]
fn a_line_without_end_is_not_read_to_its_end() {
    let path = file("t.csv", format!("{HEADER}0,P0,a,1,1\n"));
    let hole = std::fs::OpenOptions::new().write(true).open(&path).expect("it is ours");
    // Takes no room on disk; it would not fit into memory.
    hole.set_len(10 << 30).expect("a file system with holes");
    assert_eq!(message_of(Kind::Csv, &path), "t.csv: line 3: is longer than 1048576 bytes");
    std::fs::remove_file(&path).expect("it is ours");
    let packed = gzip(&format!("{HEADER}0,P0,{},1,1\n", "a".repeat(2 << 20)));
    refused(Kind::Csv, "t.csv.gz", packed, "t.csv.gz: line 2: is longer than 1048576 bytes");
    let longest = format!("{HEADER}0,P0,a,1,{}1\n", " ".repeat((1 << 20) - 10));
    assert_eq!(read_content(Kind::Csv, "t.csv", longest).requests.len(), 1);
}

#[test]
fn broken_compression() {
    let whole = gzip(&format!("{HEADER}0,P0,a,1,1\n"));
    let cut = &whole[..whole.len() - 4];
    refused(
        Kind::Csv,
        "t.csv.gz",
        cut,
        "t.csv.gz: is incomplete: its gzip data ends early, after 61 unpacked bytes",
    );
    refused(
        Kind::Csv,
        "t.csv.gz",
        &whole[..3],
        "t.csv.gz: is incomplete: its gzip data ends early, after 0 unpacked bytes",
    );
    let mut damaged = whole.clone();
    let checksum = damaged.len() - 6;
    damaged[checksum] ^= 1;
    refused(
        Kind::Csv,
        "t.csv.gz",
        damaged,
        "t.csv.gz: is damaged gzip: corrupt gzip stream does not have a matching checksum",
    );
}

#[test]
fn bytes_that_are_no_text() {
    let mut bytes = HEADER.as_bytes().to_vec();
    bytes.extend(b"0,P0,a\xff,1,1\n");
    refused(Kind::Csv, "t.csv", bytes, "t.csv: line 2: is not UTF-8 at byte 7 of the line");
    let mut archive = vec![b'x'; 257];
    archive.extend(b"ustar\0");
    refused(
        Kind::ServegenCsv,
        "t.tar",
        archive,
        "t.tar: is a tar archive: expected one trace, plain or gzip",
    );
}

#[test]
fn wrong_columns() {
    refused(
        Kind::Csv,
        "t.csv",
        "arrival_s,tier,tenant,prompt,output_tokens\n0,P0,a,1,1\n",
        "t.csv: line 1: prompt_tokens: no such column: expected arrival_s,tier,tenant,prompt_tokens,output_tokens, \
         found \"arrival_s,tier,tenant,prompt,output_toke…\"",
    );
    refused(
        Kind::AzureConv,
        "t.csv",
        "TIMESTAMP,ContextTokens\n",
        "t.csv: line 1: GeneratedTokens: no such column: expected TIMESTAMP,ContextTokens,GeneratedTokens, \
         found \"TIMESTAMP,ContextTokens\"",
    );
    refused(
        Kind::Arxiv,
        "t.csv",
        "num_prefill_tokens,num_decode_tokens,num_decode_tokens\n",
        "t.csv: line 1: num_decode_tokens: is there twice, expected once",
    );
    csv_row_refused("0,P0,a,1", "t.csv: line 3: has 4 values, the header has 5");
    csv_row_refused("0,P0,\"a,1,1", "t.csv: line 3: has a quote that is not closed on its line");
}

#[test]
fn wrong_token_counts() {
    for (written, shown) in
        [("-5", "-5"), ("0", "0"), ("4294967296", "4294967296"), ("many", "many"), ("1.5", "1.5"), ("", "")]
    {
        csv_row_refused(
            &format!("0,P0,a,{written},1"),
            &format!("t.csv: line 3: prompt_tokens: \"{shown}\" is not a whole number from 1 to 10000000"),
        );
    }
    refused(
        Kind::AzureCode,
        "t.csv",
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:03.9799600,4808,-10\r\n",
        "t.csv: line 2: GeneratedTokens: \"-10\" is not a whole number from 1 to 10000000",
    );
    refused(
        Kind::Mooncake,
        "t.jsonl",
        "{\"timestamp\": 0, \"input_length\": 99999999999, \"output_length\": 5, \"hash_ids\": [0]}",
        "t.jsonl: line 1: input_length: \"99999999999\" is not a whole number from 1 to 10000000",
    );
}

#[test]
fn wrong_times() {
    for written in ["-0.5", "NaN", "inf", "1000000001", "noon"] {
        csv_row_refused(
            &format!("{written},P0,a,1,1"),
            &format!("t.csv: line 3: arrival_s: \"{written}\" is not a time in seconds from 0 to 1000000000"),
        );
    }
    refused(
        Kind::AzureConv,
        "t.csv",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-31 18:17:03,4808,10\n",
        "t.csv: line 2: TIMESTAMP: \"2023-11-31 18:17:03\" is not a time like 2023-11-16 18:15:46.6805900",
    );
    refused(
        Kind::Mooncake,
        "t.jsonl",
        "{\"timestamp\": -1, \"input_length\": 9, \"output_length\": 5, \"hash_ids\": [0]}",
        "t.jsonl: line 1: timestamp: \"-1\" is not a whole number from 0 to 1000000000000",
    );
}

/// What is no fault, as `docs/TRACES.md` has it: disorder is repaired, gaps and rows that are there twice are taken as they are.
#[test]
fn disorder_gaps_and_rows_twice() {
    let rows = "900000000,P0,late,7,1\n2,P1,b,5,1\n0,P0,a,1,1\n2,P0,c,6,1\n0,P0,a,1,1\n";
    let read = read_content(Kind::Csv, "t.csv", format!("{HEADER}{rows}"));
    let second = 1_000_000_000;
    let found: Vec<_> = read
        .requests
        .iter()
        .map(|request| (request.arrival_ns / second, read.tenants[request.tenant as usize].as_str()))
        .collect();
    assert_eq!(found, [(0, "a"), (0, "a"), (2, "b"), (2, "c"), (900_000_000, "late")]);
}

#[test]
fn wrong_labels() {
    csv_row_refused("0,gold,a,1,1", "t.csv: line 3: tier: \"gold\" is not a tier: P0 to P7, or 0 to 7");
    csv_row_refused("0,P8,a,1,1", "t.csv: line 3: tier: \"P8\" is not a tier: P0 to P7, or 0 to 7");
    csv_row_refused(
        "0,P0,,1,1",
        "t.csv: line 3: tenant: \"\" is not a name of 1 to 255 bytes without control characters",
    );
    refused(
        Kind::Openb,
        "t.csv",
        "num_gpu,gpu_milli,qos,creation_time,deletion_time\n1,500,Best,0,9\n",
        "t.csv: line 2: qos: \"Best\" is not a QoS class: LS, Guaranteed, Burstable or BE",
    );
    refused(
        Kind::Mooncake,
        "t.jsonl",
        "{\"timestamp\": 0, \"input_length\": 9, \"output_length\": 5, \"hash_ids\": []}",
        "t.jsonl: line 1: hash_ids: \"[]\" is not a list of at least one block number",
    );
    refused(
        Kind::ServegenCsv,
        "requests.csv",
        "timestamp_s,client_id,input_tokens,output_tokens\n0,1,2,3\n",
        "requests.csv: does not say which model it is of, and the tiers depend on it: \
         expected a file called servegen_MODEL_REST.csv",
    );
    let client = "c".repeat(255);
    refused(
        Kind::ServegenCsv,
        "servegen_m_rest.csv",
        format!("timestamp_s,client_id,input_tokens,output_tokens\n0,{client},2,3\n"),
        &format!(
            "servegen_m_rest.csv: line 2: client_id: \"{}…\" is not a name of 255 bytes at most with \"m/\" before it",
            "c".repeat(40)
        ),
    );
}

#[test]
fn wrong_json() {
    let good = "{\"req_time\": 0.5, \"adapter_dir\": \"a\", \"prompt_len\": 3, \"output_len\": 4}\n";
    for (line, expected) in [
        ("[1, 2]", "t.jsonl: line 2: \"[1, 2]\" is not a JSON object"),
        ("{\"req_time\": 0.5,", "t.jsonl: line 2: is not JSON: EOF while parsing a value at column 17"),
        (
            "{\"req_time\": 0.5, \"adapter_dir\": \"a\", \"prompt_len\": 3}",
            "t.jsonl: line 2: output_len: no such key: expected req_time,adapter_dir,prompt_len,output_len, \
             found \"adapter_dir,prompt_len,req_time\"",
        ),
        (
            "{\"req_time\": 0.5, \"adapter_dir\": true, \"prompt_len\": 3, \"output_len\": 4}",
            "t.jsonl: line 2: adapter_dir: \"true\" is neither a number nor text",
        ),
        (
            "{\"req_time\": 0.5, \"adapter_dir\": \"a\", \"prompt_len\": 3, \"output_len\": \"4 tokens\"}",
            "t.jsonl: line 2: output_len: \"4 tokens\" is not a whole number from 1 to 10000000",
        ),
    ] {
        refused(Kind::Vtc, "t.jsonl", format!("{good}{line}\n"), expected);
    }
}

#[test]
fn wrong_commands() {
    let known = "azure-conv, azure-code, mooncake, arxiv, servegen-csv, vtc, openb, sharegpt, csv, jsonl";
    let spec = |text: &str| text.parse::<TraceSpec>().expect_err(text).to_string();
    assert_eq!(spec("azure:a.csv"), format!("\"azure\" is no kind of trace: expected one of {known}"));
    assert_eq!(spec("a.csv"), "\"a.csv\" is no trace: expected KIND:PATH");
    assert_eq!(spec("csv:"), "\"csv:\" is no trace: expected KIND:PATH");
    let tier = |text: &str| parse_tier_override(text).expect_err(text).to_string();
    assert_eq!(tier("azure-code"), "\"azure-code\" names no tier: expected KIND=TIER");
    assert_eq!(tier("azure-code=P9"), "\"P9\" is not a tier: P0 to P7, or 0 to 7");
    assert_eq!(tier("azur=P0"), format!("\"azur\" is no kind of trace: expected one of {known}"));
}

#[test]
fn wrong_scales() {
    let path = file("t.csv", format!("{HEADER}10,P0,a,1,1\n"));
    let at = |scale: f64| {
        let options = LoadOptions { scale, ..LoadOptions::default() };
        load(&[spec(Kind::Csv, &path)], &options).map_err(|error: TraceError| error.to_string())
    };
    assert_eq!(at(0.0), Err("scale 0 is not a positive number".to_owned()));
    assert_eq!(at(-1.0), Err("scale -1 is not a positive number".to_owned()));
    assert_eq!(at(f64::NAN), Err("scale NaN is not a positive number".to_owned()));
    let late = at(1e-12).expect_err("ten seconds become more than 32 years");
    assert_eq!(
        late,
        format!("csv:{} at scale 0.000000000001 has arrivals behind 1000000000 s", path.display())
    );
}

#[test]
fn jobs_among_requests_for_tokens() {
    let jobs = "openb:j.csv".parse().expect("a kind and a path");
    let tokens = "csv:t.csv".parse().expect("a kind and a path");
    let error = load(&[tokens, jobs], &LoadOptions::default()).expect_err("nothing could serve both");
    assert_eq!(
        error.to_string(),
        "openb:j.csv cannot be mixed with csv:t.csv: its rows are GPU jobs, not requests for tokens"
    );
}

#[test]
fn a_fault_is_told_by_its_parts_too() {
    let path = file("t.csv", format!("{HEADER}0,P0,a,1,1\n0,P0,a,1,none\n"));
    let error = load(&[spec(Kind::Csv, &path)], &LoadOptions::default()).expect_err("a wrong count");
    let shown = path.display().to_string();
    assert_eq!((error.file(), error.line(), error.field()), (Some(&*shown), Some(3), Some("output_tokens")));
}

#[test]
fn lines_are_counted_with_the_blank_ones() {
    refused(
        Kind::Csv,
        "t.csv",
        format!("\r\n{HEADER}\r\n0,P0,a,1,1\r\n\r\n0,P0,a,x,1"),
        "t.csv: line 6: prompt_tokens: \"x\" is not a whole number from 1 to 10000000",
    );
    assert_eq!(read_content(Kind::Csv, "t.csv", format!("\n{HEADER}\n0,P0,a,1,1\n\n")).requests.len(), 1);
}
