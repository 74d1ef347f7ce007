// Asked before each SMTP transaction: may this message leave now?
export const sendAdmission = {
  // Nothing goes to example.com.
  admit(send) {
    if (send.contact.domain === 'example.com') {
      return { tag: 'skip', val: 'nobody reads mail at example.com' };
    }
    return { tag: 'admit' };
  },
};
