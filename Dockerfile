# syntax=docker/dockerfile:1
# The server alone, for one machine or many. README.md lists its settings, the PAUSA_* variables.
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
# The caches keep the compiled dependencies: a change of src/ compiles only Pausa.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked --bin pausa \
    && install -D target/dist/pausa /out/pausa \
    && mkdir /out/data

FROM debian:bookworm-20260824-slim
# The certificates of public servers, for source.url, timers, databases and S3.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/pausa /usr/local/bin/pausa
COPY --from=build --chown=10001:10001 /out/data /var/lib/pausa
COPY LICENSE-MIT LICENSE-APACHE assets/graphiql/LICENSES.txt /usr/share/doc/pausa/
USER 10001:10001
WORKDIR /var/lib/pausa
ENV PAUSA_LISTEN=0.0.0.0:8080 PAUSA_DATA_DIR=/var/lib/pausa
VOLUME /var/lib/pausa
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["pausa", "health", "--alive"]
ENTRYPOINT ["pausa"]
CMD ["serve"]
