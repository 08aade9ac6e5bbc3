"""What the service is compared with: servers in processes and, floors apart, virtual environments of their own."""
