"""The background engine of Value Partner: reconciliation, prices, analytics and mail, as jobs that nothing can lose."""
