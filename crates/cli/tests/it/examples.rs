//! The examples of the Rust client, one for each kind of RPC, against a real server.

#[path = "../../../api/examples/bidi.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod bidi;
#[path = "../../../api/examples/client_stream.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod client_stream;
#[path = "../../../api/examples/server_stream.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod server_stream;
#[path = "../../../api/examples/unary.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod unary;

use crate::server::Server;

#[test]
fn an_example_of_each_kind_of_call_does_what_it_says() {
    let server = Server::in_memory();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ada = unary::run(&server.grpc).await.unwrap();
        assert_eq!((ada.name.as_str(), ada.email.as_str()), ("Ada Lovelace", "ada@example.com"));
        assert_eq!(unary::run(&server.grpc).await.unwrap(), ada, "safe to repeat");

        assert_eq!(client_stream::run(&server.grpc).await.unwrap().created_count, 3);

        let answers = bidi::run(&server.grpc).await.unwrap();
        let done: Vec<_> = answers.iter().map(|answer| answer.success).collect();
        assert_eq!(done, [true, true, false, true], "{answers:?}");

        let found = server_stream::run(&server.grpc).await.unwrap();
        let names: Vec<_> = found.iter().map(|user| user.email.split('@').next().unwrap()).collect();
        assert_eq!(names, ["ada", "grace", "streamed1", "streamed2", "streamed3"], "over three pages");
        assert_eq!(found[1].name, "Grace Hopper");
    });
}
