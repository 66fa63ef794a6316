"""How each stage reads what is not a patch file: tables of readers, as in `readers`."""

from tests.torture.readers import Reader

# Damage is as if the file were not there: it is measured, or the work begun, anew.
HARMLESS = {"record-of-input", "unfinished"}
QUICK, SWIFT = 30, 8  # cases where others get one: such as take less than 10 ms, and 20 ms


def _part(
    environment: str, file: str, how: str, built: str = "", inner: str = "", share: int = 1
) -> Reader:
    """A way of `file_parts`; the input is the first folder of the file, or a path in it."""
    arguments = (f"--src={{bad}}{inner}", f"--how={how}")
    module = "tests.torture.file_parts"
    return Reader(environment, file, module, arguments, "read", built, share=share)


def _quick(file: str, how: str, built: str = "") -> Reader:
    return _part("merge", file, how, built, share=QUICK)


def _weights(file: str, built: str) -> Reader:
    return Reader("weights", file, "stages.weights.main", built=built, share=QUICK)


def _product(file: str, built: str = "", share: int = 1) -> Reader:
    return _part("scene", file, "product", built, share=share)


def _paired(file: str, built: str = "") -> Reader:
    return Reader("pairs", file, "stages.pairs.main", built=built)


def _pairs(environment: str, file: str, function: str, built: str = "", inner: str = "") -> Reader:
    """A way of `pair_parts`."""
    arguments = (f"--src={{bad}}{inner}",)
    return Reader(environment, file, "tests.torture.pair_parts", arguments, function, built)


def _resolver(file: str, built: str) -> Reader:
    return _pairs("sisr_eval", f"resolvers/{file}", "evaluate", built, "/network")


def _client(file: str, built: str) -> Reader:
    flags = ("--src={good}/scene.h5", "--model={bad}", "--threads=1")
    return Reader("scene_sr", f"client/{file}", "stages.scene_sr.main", flags, built=built)


def _segmenter(file: str, built: str, environment: str = "map", how: str = "segmenter") -> Reader:
    return _part(environment, f"segmenter/{file}", how, built)


STEM = "T33UUB_20220701T101559"
L1C = f"l1c/GRANULE/L1C_T33UUB_A036684_20220701T101557/IMG_DATA/{STEM}"
L2A = f"l2a/GRANULE/L2A_T33UUB_A036684_20220701T101557/IMG_DATA/R20m/{STEM}"
THEIA = "theia/SENTINEL2A_20200401-105855-000_L2A_T33UUB_C_V2-2"
SEN2VENUS, TENSOR = "sen2venus/B", "sen2venus-1/B/S_2018-02-14_10m_b2b3b4b8.pt"
WORLDSTRAT = "worldstrat/lr_dataset_l2a/T-1/L2A/T-1-1"
MERGE = ("--src={bad}/part-1.h5,{bad}/part-2.h5",)

READERS = {
    # Score folders, audits, calibrations: sumrule, compare, calibrate, audit, report, map.
    "scores": _quick("scores/test_scores.npy", "scores", "npy"),
    "labels": _quick("scores/test_labels.npy", "scores", "npy"),
    "logits": _quick("scores/train_logits.npy", "scores", "npy"),
    "metrics-json": _quick("scores/metrics.json", "scores", "json"),
    "score-places": _quick("scores/metrics.json", "scores", "places"),
    "audit-json": _quick("audit/audit.json", "audit", "json"),
    "audit-csv": _quick("audit/labels.csv", "audit"),
    "calibration": _quick("calibration.json", "calibration", "json"),
    # Records and unfinished products: every stage, report, make provenance.
    "records": _part("report", "recorded/part-1.h5.run.json", "records", "json"),
    "record-of-input": Reader("merge", "recorded/part-1.h5.run.json", "stages.merge.main",
                              ("--src={bad}/part-1.h5",), built="json"),
    "unfinished": Reader("merge", "unfinished/product.partial", "stages.merge.main", MERGE,
                         built="hdf5", dst="unfinished/product"),
    "unfinished-plan": Reader("merge", "unfinished/product.partial.json", "stages.merge.main",
                              MERGE, built="json", dst="unfinished/product"),
    # Scene files and tile files.
    "scene-file": _part("merge", "scene.h5", "scene", "hdf5"),
    "tile-file": _part("landcover", "tiles.h5", "tiles", "hdf5"),
    "tile-file-segment": _part("segment", "tiles.h5", "learned tiles"),
    # Image pairs of two satellites.
    "pair-file": _pairs("sisr_benchmark_metrics", "pairs.h5", "describe_pairs", "hdf5"),
    "pair-file-train": _pairs("sisr_train", "pairs.h5", "learn_pairs"),
    "pair-file-register": _pairs("register", "pairs.h5", "register_pairs"),
    "pairs-index": _paired(f"{SEN2VENUS}/index.csv", "places"),
    "pairs-zip": _paired(f"{SEN2VENUS}/b2b3b4b8_05m.zip"),
    "pairs-tensor": _paired(TENSOR, "pickle"),
    "pairs-splits": _paired("worldstrat/stratified_train_val_test_split.csv"),
    "pairs-dates": _paired("worldstrat/metadata.csv"),
    "pairs-yaml": _paired(f"{WORLDSTRAT}.metadata", "yaml"),
    "pairs-tif": _paired(f"{WORLDSTRAT}-L2A_data.tiff", "raster"),
    # Networks for super-resolution across sensors.
    "resolver-onnx": _resolver("network/network.onnx", "onnx"),
    "resolver-json": _resolver("network/sisr.json", "json"),
    "resolver-places": _resolver("network/sisr.json", "places"),
    "registration-onnx": _resolver("registration/registration.onnx", "onnx"),
    "registration-json": _resolver("registration/registration.json", "json"),
    "trained-onnx": _pairs("sisr_export", "trained/network.onnx", "export", "onnx"),
    "trained-json": _pairs("sisr_export", "trained/sisr.json", "export", "json"),
    # Pairs of ONNX and YAML for the client: scene-sr, sisr-export of what others published.
    "client-yaml": _client("pair.yaml", "yaml"),
    "client-onnx": _client("pair.onnx", "onnx"),
    "client-places": _client("pair.yaml", "places"),
    # Weights.
    "safetensors": _weights("w.safetensors", "safetensors"),
    "pth": _weights("w.pth", "pickle"),
    "pth-legacy": _weights("w.pt", "pickle"),
    "keras": _part("map", "keras.h5", "keras", "hdf5"),
    # Networks.
    "onnx": _part("map", "networks/student/student.onnx", "network", "onnx", "/student"),
    "onnx-ours": _part("map", "networks/exported/student.onnx", "network", "onnx", "/exported"),
    "onnx-adopted": _part("export", "networks/student/student.onnx", "adopted", "onnx",
                          "/student"),
    "onnx-timed": _part("compare", "networks/exported/student.onnx", "timed", "", "/exported"),
    "model-json": _part("map", "networks/exported/model.json", "network", "json", "/exported"),
    "preprocessing-json": _part("map", "networks/matlab/preprocessing.json", "network", "json",
                                "/matlab"),
    "model-places": _part("map", "networks/student/model.json", "network", "places", "/student"),
    # Networks that segment.
    "segmenter-onnx": _segmenter("network.onnx", "onnx"),
    "segmenter-json": _segmenter("model.json", "json"),
    "segmenter-teacher": _segmenter("network.onnx", "onnx", "segment", "taught"),
    # Bundles.
    "bundle-yaml": _part("export", "bundle/lcz42-resnet18.yaml", "bundle", "yaml"),
    "bundle-labels": _part("export", "bundle/labels.txt", "bundle"),
    "bundle-json": _part("export", "bundle/readback.json", "bundle", "json"),
    "bundle-onnx": _part("export", "bundle/model.onnx", "bundle", "onnx"),
    "bundle-places": _part("export", "bundle/readback.json", "bundle", "places"),
    # Products of Sentinel-2.
    "jp2": _product(f"{L1C}_B02.jp2", "raster"),
    "jp2-coarse": _product(f"{L1C}_B05.jp2", "raster"),
    "safe-xml": _product("l1c/MTD_MSIL1C.xml", "xml"),
    "safe-xml-l2a": _product("l2a/MTD_MSIL2A.xml", "xml"),
    "clouds-gml": _product("l1c/GRANULE/L1C_T33UUB_A036684_20220701T101557/QI_DATA/"
                           "MSK_CLOUDS_B00.gml", "xml"),
    "scl": _product(f"{L2A}_SCL_20m.jp2", "raster"),
    "safe-places": _product("l1c/MTD_MSIL1C.xml", "places"),
    "safe-zip": _product("packed.zip"),
    "theia-xml": _product(f"{THEIA}_MTD_ALL.xml", "xml"),
    "theia-tif": _product(f"{THEIA}_FRE_B2.tif", "raster"),
    "stack-tif": _product("stack_L2A.tif", "raster"),
    "scene-npy": _product("scene.npy", "npy", SWIFT),
    "scene-npz": _product("scene.npz", "npz", SWIFT),
    # Orthophotos and pictures.
    "orthophoto": _part("landcover", "aerial/images/0.tif", "orthophoto", "raster"),
    "mask": _part("landcover", "aerial/masks/0.tif", "orthophoto", "raster"),
    "aerial-places": _part("landcover", "aerial/masks/0.tif", "orthophoto", "places"),
    "map-orthophoto": _part("map", "aerial/images/0.tif", "photo", "raster"),
    "map-mask": _part("map", "aerial/masks/0.tif", "photo", "raster"),
    "png": _part("eurosat", "picture.png", "picture", "picture", share=SWIFT),
    "jpeg": _part("eurosat", "picture.jpg", "picture", "picture", share=SWIFT),
    "tif-13-bands": _part("eurosat", "bands.tif", "picture", "raster", share=SWIFT),
}  # fmt: skip
