"""Start the runs of deliveries: folders of files that become a scene once they are complete."""
