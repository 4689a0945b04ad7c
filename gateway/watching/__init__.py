"""What a person or a program can see of the gateway: figures, traces for OpenTelemetry, the log, the status."""
