"""What a trained model gives away of its patients: attacks, and the privacy loss that they prove."""
