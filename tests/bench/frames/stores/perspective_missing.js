// Stands in for Perspective where it is not installed.
export default {
  worker() {
    throw new Error('Perspective is not installed');
  },
};
