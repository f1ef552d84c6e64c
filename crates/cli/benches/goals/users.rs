//! Made-up users, the same in every run, and the gRPC requests about them.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;
use roster_api::{
    auth::v1::SignInRequest,
    user::v1::{CreateUserRequest, ExportUsersRequest, GetUserRequest, ListUsersRequest, SearchUsersRequest},
};

/// The password of those who have one.
pub const PASSWORD: &str = "correct horse battery";

/// Three of them make a name, so there are 8,000 family names, each with about 125 bearers in a million users.
const SYLLABLES: [&str; 20] = [
    "mar", "ten", "lio", "bas", "kor", "vin", "sel", "dra", "pol", "nim", "wes", "hak", "jur", "fen", "gor", "tal",
    "rik", "zen", "cal", "bro",
];

/// Numbers that look random and are the same in every run (xorshift64*).
pub struct Random(u64);

impl Random {
    /// Any seed will do.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`, which is above zero.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        (bits as usize) % bound
    }
}

/// What a user is called.
pub struct Person {
    pub name: String,
    pub email: String,
}

/// The person with this number.
pub fn person(number: u64) -> Person {
    let mut random = Random::new(number + 1);
    let (given, family) = (word(&mut random), word(&mut random));
    Person { email: format!("{given}.{family}.{number}@example.com"), name: format!("{given} {family}") }
}

/// Seven letters from inside a family name.
pub fn fragment(random: &mut Random) -> String {
    word(random).chars().skip(1).take(7).collect()
}

fn word(random: &mut Random) -> String {
    (0..3).map(|_| SYLLABLES[random.below(SYLLABLES.len())]).collect()
}

/// `CreateUser` of the person with this number, without a password.
pub fn create(number: u64) -> Bytes {
    let Person { name, email } = person(number);
    frame(&CreateUserRequest { name, email, ..Default::default() })
}

/// `CreateUser` of the person with this number, with [`PASSWORD`].
pub fn create_with_password(number: u64) -> Bytes {
    let Person { name, email } = person(number);
    frame(&CreateUserRequest { name, email, password: PASSWORD.into(), ..Default::default() })
}

/// `SignIn` of such a person.
pub fn sign_in(number: u64) -> Bytes {
    frame(&SignInRequest { login: person(number).email, password: PASSWORD.into(), device: String::new() })
}

/// `GetUser`.
pub fn get(id: &str) -> Bytes {
    frame(&GetUserRequest { user_id: id.into() })
}

/// `ListUsers`: a page of a thousand, the most there is, after this user.
pub fn list_after(id: &str) -> Bytes {
    frame(&ListUsersRequest { page_size: 1_000, page_token: id.into(), ..Default::default() })
}

/// `ListUsers`: this many at once, which only the limit gives.
pub fn list(count: usize) -> Bytes {
    frame(&ListUsersRequest { page_size: count as i32, ..Default::default() })
}

/// `ExportUsers`: all.
pub fn export() -> Bytes {
    frame(&ExportUsersRequest::default())
}

/// `SearchUsers`: the first twenty.
pub fn search(query: &str) -> Bytes {
    frame(&SearchUsersRequest { query: query.into(), page_size: 20, ..Default::default() })
}

/// A message as gRPC sends it: not compressed, its length, its bytes.
pub fn frame(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::with_capacity(5 + message.encoded_len());
    bytes.put_u8(0);
    bytes.put_u32(message.encoded_len() as u32);
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes.freeze()
}
