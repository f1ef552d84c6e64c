//! The server's codec: prost, with a malformed message answered as the caller's mistake.

use std::marker::PhantomData;

use prost::Message;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Bytes that a response's buffer starts with. A user is a few hundred bytes; tonic's default of
/// 8 KiB costs more to allocate and touch on every call than a rare growth does.
const BUFFER_BYTES: usize = 1024;
/// Bytes after which a stream's encoder hands its buffer to the connection (tonic's default).
const YIELD_BYTES: usize = 32 * 1024;

/// Encodes `T`, decodes `U`.
#[derive(Debug)]
pub struct ServerCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for ServerCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for ServerCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ServerEncoder<T>;
    type Decoder = ServerDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ServerEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ServerDecoder(PhantomData)
    }
}

/// Encodes responses.
#[derive(Debug)]
pub struct ServerEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for ServerEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|_| Status::internal("the response did not fit its buffer"))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

/// Decodes requests.
#[derive(Debug)]
pub struct ServerDecoder<U>(PhantomData<U>);

impl<U: Message + Default> Decoder for ServerDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        U::decode(buffer).map(Some).map_err(|error| malformed(&error))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

/// `INVALID_ARGUMENT` for bytes that are not the message that the method takes, such as text that is not UTF-8.
fn malformed(error: &prost::DecodeError) -> Status {
    let text = error.to_string();
    let cause = text.strip_prefix("failed to decode Protobuf message: ").unwrap_or(&text);
    let mut details = ErrorDetails::with_error_info(
        "MALFORMED_MESSAGE",
        "roster",
        std::collections::HashMap::<String, String>::new(),
    );
    let (path, reason) = place_of(cause);
    if !path.is_empty() {
        details.add_bad_request_violation(path, reason);
    }
    Status::with_error_details(
        tonic::Code::InvalidArgument,
        format!("the request is not a valid message: {cause}"),
        details,
    )
}

/// prost names the place as `Message.field: cause`, the innermost first, with one more for each message around it.
fn place_of(text: &str) -> (String, &str) {
    let (mut path, mut rest) = (String::new(), text);
    while let Some((place, cause)) = rest.split_once(": ")
        && let Some((_, field)) = place.split_once('.')
    {
        path = if path.is_empty() { field.to_owned() } else { format!("{field}.{path}") };
        rest = cause;
    }
    (path, rest)
}
