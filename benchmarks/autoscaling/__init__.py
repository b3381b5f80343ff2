"""What KEDA and the autoscaler of Kubernetes decide for workers over a day, simulated."""
