#![doc = include_str!(concat!(env!("OUT_DIR"), "/readme.md"))]

include!(concat!(env!("OUT_DIR"), "/chapters.rs"));
