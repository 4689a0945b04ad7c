"""What a gate looks at, as numbers with names: of a request before anything is generated, and of a draft."""
