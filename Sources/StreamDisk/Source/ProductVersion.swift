/// The version of this product: for `User-Agent`, `--version` and logs.
public enum ProductVersion {
    public static let current = "0.1.0"
}
