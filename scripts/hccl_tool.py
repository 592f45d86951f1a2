"""python scripts/hccl_tool.py …: see mindvoxel.cli.hccl_tool, or --help."""

from mindvoxel.cli.hccl_tool import main

if __name__ == "__main__":
    raise SystemExit(main())
