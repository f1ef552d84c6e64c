//! Clients exist that were generated from the protos in `tests/seeds/`. What they send we read, and what we send they read.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use prost::Message as _;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, FileDescriptor, Kind, MapKey, MessageDescriptor,
    MethodDescriptor, Value, prost_types::FileDescriptorProto,
};

/// Each seed, and whether our proto has exactly what it has, or more.
const SEEDS: &[(&str, &str, Extent)] = &[
    ("002_user.proto", "compat/user.proto", Extent::ToTheLetter),
    ("003_user_service.proto", "user/v1/user_service.proto", Extent::Superset),
    ("004_notification.proto", "compat/notification_service.proto", Extent::ToTheLetter),
];

#[derive(PartialEq)]
enum Extent {
    ToTheLetter,
    Superset,
}

#[test]
fn what_a_seed_encodes_we_decode() {
    for (theirs, ours) in messages() {
        let sent = filled(&theirs);
        let received = DynamicMessage::decode(ours.clone(), sent.encode_to_vec().as_slice()).unwrap();
        assert_eq!(json(&received), json(&sent), "{}", theirs.full_name());
    }
}

#[test]
fn what_we_encode_a_seed_decodes() {
    for (theirs, ours) in messages() {
        let mut sent = filled(&ours);
        let received = DynamicMessage::decode(theirs.clone(), sent.encode_to_vec().as_slice()).unwrap();
        // What the seed does not have, it passes over.
        ours.fields().filter(|f| theirs.get_field(f.number()).is_none()).for_each(|f| sent.clear_field(&f));
        assert_eq!(json(&received), json(&sent), "{}", theirs.full_name());
    }
}

#[test]
fn fields_of_a_seed_keep_name_number_kind_and_presence() {
    let shape = |f: &FieldDescriptor| {
        let named = match f.kind() {
            Kind::Message(message) => message.full_name().to_owned(),
            Kind::Enum(list) => list.full_name().to_owned(),
            scalar => format!("{scalar:?}"),
        };
        (f.number(), f.name().to_owned(), named, f.cardinality() == Cardinality::Repeated, f.supports_presence())
    };
    for (theirs, ours) in messages() {
        for field in theirs.fields() {
            let our_field = ours.get_field(field.number()).unwrap();
            assert_eq!(shape(&our_field), shape(&field), "{}", field.full_name());
        }
    }
}

#[test]
fn values_of_a_seeds_enum_keep_name_and_number() {
    for (seed, pool, _) in pairs() {
        for list in seed.enums() {
            let ours = pool.get_enum_by_name(list.full_name()).unwrap();
            for value in list.values() {
                assert_eq!(ours.get_value(value.number()).unwrap().name(), value.name(), "{}", list.full_name());
            }
        }
    }
}

#[test]
fn methods_of_a_seed_keep_path_types_and_streaming() {
    for (seed, pool, _) in pairs() {
        for service in seed.services() {
            let ours = pool.get_service_by_name(service.full_name()).unwrap();
            for method in service.methods() {
                let our_method = ours.methods().find(|m| m.name() == method.name()).unwrap();
                let shape = |m: &MethodDescriptor| {
                    let (input, output) = (m.input().full_name().to_owned(), m.output().full_name().to_owned());
                    (input, output, m.is_client_streaming(), m.is_server_streaming())
                };
                assert_eq!(shape(&our_method), shape(&method), "{}", method.full_name());
            }
        }
    }
}

#[test]
fn the_compatibility_protos_are_the_seeds_to_the_letter() {
    for (seed, pool, ours) in pairs() {
        if let Some(ours) = ours {
            let ours = pool.get_file_by_name(ours).unwrap();
            assert_eq!(declarations(&ours), declarations(&seed), "{}", seed.name());
        }
    }
}

/// Each seed's file, our pool, and the name of our file where that is the seed to the letter.
fn pairs() -> Vec<(FileDescriptor, DescriptorPool, Option<&'static str>)> {
    let ours = DescriptorPool::decode(roster_api::DESCRIPTOR_SET).unwrap();
    let includes = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeds");
    let pair = |(seed, our_file, extent): &(&'static str, &'static str, Extent)| {
        let theirs = DescriptorPool::from_file_descriptor_set(protox::compile([seed], [includes]).unwrap()).unwrap();
        let to_the_letter = (*extent == Extent::ToTheLetter).then_some(*our_file);
        (theirs.get_file_by_name(seed).unwrap(), ours.clone(), to_the_letter)
    };
    SEEDS.iter().map(pair).collect()
}

/// Every message of every seed, beside ours.
fn messages() -> Vec<(MessageDescriptor, MessageDescriptor)> {
    let pair = |(seed, pool, _): (FileDescriptor, DescriptorPool, _)| {
        let beside = |theirs: MessageDescriptor| {
            let ours = pool.get_message_by_name(theirs.full_name()).unwrap();
            (theirs, ours)
        };
        seed.messages().map(beside).collect::<Vec<_>>()
    };
    pairs().into_iter().flat_map(pair).collect()
}

/// What a file declares, without what the wire does not know: comments, imports, and the options of methods.
fn declarations(file: &FileDescriptor) -> FileDescriptorProto {
    let mut proto = file.file_descriptor_proto().clone();
    proto.name = None;
    proto.source_code_info = None;
    proto.dependency.clear();
    proto.service.iter_mut().flat_map(|service| &mut service.method).for_each(|method| method.options = None);
    proto
}

/// The message as JSON: names of fields and enum values, and no field that is unknown.
fn json(message: &DynamicMessage) -> serde_json::Value {
    serde_json::to_value(message).unwrap()
}

/// A message with every field set, each to another value; times to one that JSON can write.
fn filled(descriptor: &MessageDescriptor) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let value = if field.is_map() {
            let kind = field.kind();
            let entry = kind.as_message().unwrap();
            let value = scalar(&entry.map_entry_value_field(), 1);
            Value::Map([(MapKey::String("Schlüssel".into()), value)].into())
        } else if field.is_list() {
            Value::List(vec![scalar(&field, 1), scalar(&field, 2)])
        } else {
            scalar(&field, 1)
        };
        message.set_field(&field, value);
    }
    message
}

fn scalar(field: &FieldDescriptor, salt: u32) -> Value {
    let number = field.number() * 10 + salt;
    match field.kind() {
        Kind::String => Value::String(format!("Wert {number} 🦀")),
        Kind::Bool => Value::Bool(true),
        Kind::Int32 if field.full_name() == "google.protobuf.Timestamp.nanos" => Value::I32(123_456_000),
        Kind::Int32 => Value::I32(-1_000_000 * i32::try_from(number).unwrap()),
        Kind::Int64 => Value::I64(1_700_000_000 + i64::from(number)),
        Kind::Enum(list) => Value::EnumNumber(list.values().last().unwrap().number()),
        Kind::Message(message) => Value::Message(filled(&message)),
        other => panic!("{}: a seed has no {other:?}", field.full_name()),
    }
}
