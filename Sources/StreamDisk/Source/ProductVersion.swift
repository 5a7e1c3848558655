/// The version of this product: for `User-Agent`, the command line and logs.
public enum ProductVersion {
    /// For example `0.2.0` (semver.org).
    public static let current = "0.2.0"
}
