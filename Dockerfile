# syntax=docker/dockerfile:1
# The server and its commands, in an image without a shell. RUST is the rust-version of Cargo.toml; a test holds it to that.
#
#   docker build --tag roster .
#   docker run --read-only --tmpfs /run/roster:uid=65532,mode=0700 --volume roster:/var/lib/roster \
#     --publish 127.0.0.1:50051:50051 --env ROSTER_INSECURE_PLAINTEXT=true roster
ARG RUST=1.95
FROM rust:${RUST}-bookworm AS build
WORKDIR /src
COPY . .
# The caches stay with the builder, so the binary is taken out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package roster \
    && install -D --strip target/release/roster /out/roster \
    && mkdir /out/empty

# glibc, libgcc and the certificates of authorities; its user is 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/roster /usr/local/bin/roster
COPY LICENSE /usr/share/doc/roster/LICENSE
# Users are kept in the working directory (sqlite:roster.db), unless the settings say otherwise: a volume belongs there.
COPY --from=build --chown=65532:65532 /out/empty /var/lib/roster
COPY --from=build --chown=65532:65532 /out/empty /run/roster

# The operator's socket answers the health check and `docker exec … roster …`, whatever TLS and tokens the ports ask for.
ENV ROSTER_OPERATOR_SOCKET=/run/roster/roster.sock \
    ROSTER_SERVER=unix:/run/roster/roster.sock
USER 65532:65532
WORKDIR /var/lib/roster
EXPOSE 50051 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/roster", "health"]
ENTRYPOINT ["/usr/local/bin/roster"]
CMD ["serve"]
