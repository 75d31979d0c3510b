# Made by scripts/build-image, which puts a static binary and an empty /data in target/image.
FROM scratch
LABEL org.opencontainers.image.title="Wharfinger" \
      org.opencontainers.image.description="A container registry in one binary" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY target/image/wharfinger /wharfinger
# An empty /data of the server's user: a new volume takes over owner and mode of what it is mounted on.
COPY --chown=65532:65532 target/image/volume/ /
USER 65532:65532
VOLUME /data
EXPOSE 5000
# As variables, so that serve, verify and the health check know the same, and a container's own overrule them.
ENV WHARFINGER_DATA=/data WHARFINGER_LISTEN=0.0.0.0:5000
HEALTHCHECK CMD ["/wharfinger", "healthcheck"]
ENTRYPOINT ["/wharfinger"]
# Who may do what is not said here: with no answer in WHARFINGER_ANONYMOUS the server does not start.
CMD ["serve"]
