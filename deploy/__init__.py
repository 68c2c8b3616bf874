"""Starting and operating BeTrace."""
