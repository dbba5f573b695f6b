"""What a coordinator's machine keeps and runs: certificates, admitted sites, SuperLink and front door, runs."""
