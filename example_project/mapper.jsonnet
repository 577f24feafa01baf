// Maps the claims of a sign-in to an identity. It is the mapper that ships with the app
// (django_ms_identity/jsonnet/default.jsonnet), with metadata and access to the admin added.
//
// Jsonnet is JSON with a little logic: https://jsonnet.org/learning/tutorial.html

local claims = std.extVar('claims');
// `claims` has the standard claims under their names, and every claim of the ID token under `raw_claims`.
local raw = claims.raw_claims;

// A claim that is empty or was not sent is absent; std.get returns its third argument then.
local roles = std.get(raw, 'roles', []);

// "Admin" is the value of an app role: make it in Entra under "App roles" of the app registration, and assign it
// to people under "Users and groups" of the enterprise application.
local is_admin = std.member(roles, 'Admin');

// Anyone who runs a tenant can write any e-mail address into it. Only the optional claim `xms_edov` says that
// the owner of the e-mail's domain has verified it.
local email_is_verified = std.member([true, 1, '1', 'true'], std.get(raw, 'xms_edov'));

// `[if … then 'name']` leaves out what Microsoft did not send.
local names = {
  [if 'preferred_username' in claims then 'username']: claims.preferred_username,
  [if 'given_name' in claims then 'first_name']: claims.given_name,
  [if 'family_name' in claims then 'last_name']: claims.family_name,
};

{
  identity: {
    // What your project knows about the user.
    traits: names {
      [if 'email' in claims then 'email']: claims.email,
      [if 'name' in claims then 'name']: claims.name,
    },

    // What the user may see but not change; `metadata_admin` is for administrators only.
    metadata_public: {
      tenant: raw.tid,
      roles: roles,
    },

    verified_addresses: if email_is_verified && 'email' in claims then
      [{ via: 'email', value: claims.email }]
    else
      [],
  },

  // Fields of the Django user. Without `user`, username, first_name and last_name are taken from the traits of
  // those names; with it, only the fields below are set. Rights are taken only for the tenants that the provider's
  // `privileged_tenants` trusts with them: by default the one tenant that it names.
  user: names {
    is_staff: is_admin,
    is_superuser: is_admin,
  },
}
