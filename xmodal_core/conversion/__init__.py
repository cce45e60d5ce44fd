"""Any data set to another format: nuScenes', or the ``folder`` of one's own sensor."""
