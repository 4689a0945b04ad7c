"""What reports are made of: pages, plots and their style. Shared by the demo and examinations."""
