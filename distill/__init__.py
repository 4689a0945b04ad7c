"""What is learnt from traces: trace, store, render, filters, dataset, training, examination, night."""
