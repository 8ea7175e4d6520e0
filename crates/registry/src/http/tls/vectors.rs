//! Signatures of the word `message`, made with OpenSSL 3.

const RSA_1024: &str = "MIGJAoGBALxahdzQIvjPiKCVuNc51Carn7TKRCulUOEIFa3qsUPaAf8zgqI/fVKYdB6u8TEyKGN+nPtCaxxoohmtmbcorR/OH0YpOCc1D1rHZsa7897Bbg7HfJEWE3fEziA3U2D7Rf5Hs624qojwHvwB/7VubnypCQ6qFQjQfALvFV9nsY63AgMBAAE=";
const RSA_1030: &str = "MIGJAoGBMBxHG2gn9tiwB3dq7mHCz67QXtUa2nsq4eW0iqwc9S1sJF/YsKImTiPCJoFjMIqK2jA2i6rZX7fakDGhOqL/Y87IMAu3kcA7H7wgAp/gHS4isTzobwAEaRiHB5DexlZpBE8+wYyNKvkBzb5wNQFlTdV2PsavmbetOQvZeStl1JOHAgMBAAE=";
const P256: &str =
    "BF8DMsmF3hgQoXEXiFLTYNXLy3IZWOqP6xk7dVX5NhSo3fHHE71XA6nTS0C5rXbwZSGSFvoQcBX7/DpffxguFhk=";
const P384: &str = "BOjsYjz+1IponJp5fDHHhhiX+ymrdIYKeegzeLUx3RnOzNW8pUj1c4sj4YcPsF0nW86Li3CTllmyZro8zRCEaDMrmEHu7jmPFpIiD6nOl3YH0F+aQt6STuYu4BIIosqL4A==";
const P521: &str = "BADr5RtIKWOb5zuS4BHZBPAAMyVm4LXRoKYoK+tMv5QZjZ3Op+6xZrDpZdZOThqaxPytb7K9QlPmTtRIIPBjjsZ+LwABEmEJZ+l3veYqsGSuabHukpfYg52UWrt2BBkr1+ZDYTpFSy7sMGzVT3WVJ0dvI82bbD3iMoSHNqvov7orMJMHFQ==";

/// The algorithm's name, the public key, the signature.
pub(super) const SIGNATURES: &[(&str, &str, &str)] = &[
    (
        "RSA_PKCS1_SHA256",
        RSA_1024,
        "CZi3ILIdls0N3tywdZkmtxfLo57EcAKYMD5HROUD7PQaZIq+Js7DgptHK3BE4AubU3Mo0DuVj87sf1dAiVME9cTi+nmq5l/sRz1z1HaA78/t/LBQ5kIaRJjFiDRt+LVFQWsHZEbH6SShfEQhAcro079L6MV+a5yH+D6lqcWtdhw=",
    ),
    (
        "RSA_PSS_SHA256",
        RSA_1024,
        "quJPUnehD2lwbSfdiPeQsyt+u1kK+2boCGqZj8GnB2VXFAqQMVBiMvd6ZbyZkrepW2Sss9Tso7AudLTH6VYhW47l29gsLB3G8ShFaoU3Kq74CYjffCoPprdO8dkFMnZ8q2abkGpBkK5Kavw3Y93O9d9ppsQjD5pm8imJAdOJIyM=",
    ),
    (
        "RSA_PKCS1_SHA384",
        RSA_1024,
        "uimBdWsJrc+E5SZQZ3zF66AO2qw3Do7A2dIJML07JDEaEJPsO6x0+YyD8Yx7m3qaeaEie8VuTSvi/2vfKTantF74hl2q9U14BGQ979Ag86V+i7z5EDhxd/wMFZQGFP5Dw60HRTDKfwtybbjg8u0mLyHtBnvF/1L+2dIDsE0LYsI=",
    ),
    (
        "RSA_PSS_SHA384",
        RSA_1024,
        "Wdr7AVAfL1uTRd95HM0A5sBw5vmPugQtgSeP9y4MU5NQV0lUIuoSRU12DTKW91esVbAxdqIH7qkqcc8pE40/WhpqbDJECEa+Ye6BQGtGoeoncccZ/lMkoWI0q3+mAHLVjIFh0/X67vWZmtW7pa1p5NBhoVFEBOzMSTL5KAuskAk=",
    ),
    (
        "RSA_PKCS1_SHA512",
        RSA_1024,
        "Lmfatu7+OPn3rBs2aIC2tojbcEh7/Rc+tF/ndsurASa5e359PU/cELnG09Ff3aZ5u8UhqKLOm2BXJiB/668e6j16CIy164SfewzEzrr+oX3Q81dM5jMfHK01nFa1MR4m7lkJPj1pxUg9YZ/O81489TZHy/tQ6IyxBhKJEfyhbkQ=",
    ),
    (
        "RSA_PKCS1_SHA256",
        RSA_1030,
        "IUYVZVBobc8enJD5SxU5tWkCrqF0LS7vr5G6lxQLoK3THNqZRrCPhcGNZg2Oyv7h8jre/zaovWChpCuldJzDZk4KO02WovRdb86RNpJxEqLy/BEOa951lUHyAHZCOItbeWpigXyY56UBqUX2U/ixGQoQ7JIouA/uzsZhnnMTTibs",
    ),
    (
        "RSA_PSS_SHA256",
        RSA_1030,
        "Cst3wFs0lCdz4+K0L9vhaLMhP6wIVjCY1KbkTNGm7LiDnKl0wbCnOwgPemYNaV1XXSz97YVrvS12bDFxCcY8pNYi+KubJCWgxaf3wEowUeVmM8rWGxAHKY6+3Rd8DN0Rgm5zykxtdYycXTv19+NjREKGHepbHybeMoJSpNZEy1qM",
    ),
    (
        "P256_SHA512",
        P256,
        "MEQCIDgCXLbanOGI+WMRJFGzHatbsLuqtuUK+KPzmNqyfggRAiB8Eg3LNyPVysrG7KKYkR3ud29sWIfFjiJDCow5DXUJNw==",
    ),
    (
        "P384_SHA512",
        P384,
        "MGUCMQCJTCt58YF9Ljo9AhAiZ/JHbFv3QZGresnV3NLh+3S3qE817+qJTzC8ef2phcb12voCMBYNv+jUfjkr6pHKWPpRmzFnRnVFcBejyVDV6qoqZKkPrtbqV3woIKK+OxE1BhQAzQ==",
    ),
    (
        "P521_SHA256",
        P521,
        "MIGHAkIBiW+Gz4008BVQC/6ozzuKIs98PliFedM236q9DzUeD+LcLR2pLF+BFdFSPL+/UMl9GiM6FlKY9PND75+dDY4O4XQCQTyzS/Lm9bXeVrpw1KeWevo2Y+TDockKt9FTrcx5fPg3pP/oIT/LHxD+j7RICzE9vUQYxu8X2ejYkHoVRYxRs/Ag",
    ),
    (
        "P521_SHA384",
        P521,
        "MIGIAkIA6Ap7CZbZ6SDqKRCIXffdzLR5BAxu2GINPLSlYCVKdmRIOphpP3MrY4uPp8/Tg6Hj2/Tbzdch9UO4Su25k722u0oCQgDBI1yHYL6T13ff6VxhTg7B76lnT7SpweQd1tPqzxmzS5Z8vQP0MVSTnVAXw9ItBmn9ZERLtxDC25Uvzo481fjL4A==",
    ),
    (
        "P521_SHA512",
        P521,
        "MIGIAkIA5M+GvV4PRPAXLtetC3ktiJkahCU2HZS+mHL2uxn5frS0AuAhe0jAfVlmyANv18V8Li3DM7uyR3PYxJ8g8rG90/ECQgCdg/dixvcK9mj+AqWJKRmCY2Mm5ZH/dNoHnU1t+HXHPQ/kbR0BrZ/BJhC7qbGehBXsEue7uGs3NtgGNo++muZUTg==",
    ),
];

/// The key of the last signatures, as PKCS #8 and as SEC 1. It is for nothing but these.
pub(super) const P521_KEYS: [&str; 2] = [
    "MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIAVZ6+PAboYwXW+jg/6RHNoZE2rYpd6xs3A+GdAa7Nl4mGMWagris7NWWREIJZfupS8F8sgqkJBGkA0hHF+wDwgKehgYkDgYYABADr5RtIKWOb5zuS4BHZBPAAMyVm4LXRoKYoK+tMv5QZjZ3Op+6xZrDpZdZOThqaxPytb7K9QlPmTtRIIPBjjsZ+LwABEmEJZ+l3veYqsGSuabHukpfYg52UWrt2BBkr1+ZDYTpFSy7sMGzVT3WVJ0dvI82bbD3iMoSHNqvov7orMJMHFQ==",
    "MIHcAgEBBEIAVZ6+PAboYwXW+jg/6RHNoZE2rYpd6xs3A+GdAa7Nl4mGMWagris7NWWREIJZfupS8F8sgqkJBGkA0hHF+wDwgKegBwYFK4EEACOhgYkDgYYABADr5RtIKWOb5zuS4BHZBPAAMyVm4LXRoKYoK+tMv5QZjZ3Op+6xZrDpZdZOThqaxPytb7K9QlPmTtRIIPBjjsZ+LwABEmEJZ+l3veYqsGSuabHukpfYg52UWrt2BBkr1+ZDYTpFSy7sMGzVT3WVJ0dvI82bbD3iMoSHNqvov7orMJMHFQ==",
];
/// Its public half.
pub(super) const P521_PUBLIC: &str = P521;
